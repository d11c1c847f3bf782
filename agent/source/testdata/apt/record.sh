#!/bin/bash
# Records what apt and dpkg really print, one fixture a case, into the folder
# given. Run as root on a Debian machine with dpkg-dev, gnupg and python3 that
# may have packages named steward-sample-* installed and purged. Each fixture
# begins with a comment that says how it came about.
set -u
OUT=$(realpath "$1")
D=/tmp/steward-sample; rm -rf $D; mkdir -p $D/{repo,build,lists/partial,cache/archives/partial,full}; cd $D || exit 1
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
VERSIONS="$(. /etc/os-release; echo "$ID $VERSION_ID"), $(dpkg-query -W -f='apt ${Version}' apt), $(dpkg-query -W -f='dpkg ${Version}' dpkg)"

package() { # name version [extra-control] [postinst] [architecture]
  local d=build/$1-$2
  mkdir -p "$d/DEBIAN" "$d/usr/share/$1"; head -c 2000 /dev/zero > "$d/usr/share/$1/data"
  printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Steward <steward@example.com>\nDescription: sample\n%b' "$1" "$2" "${5:-all}" "${3:-}" > "$d/DEBIAN/control"
  if [ -n "${4:-}" ]; then printf '#!/bin/sh\n%b' "$4" > "$d/DEBIAN/postinst"; chmod 755 "$d/DEBIAN/postinst"; fi
  dpkg-deb --root-owner-group -b "$d" "repo/$1_$2.deb" >/dev/null
}
index() { (cd repo && dpkg-scanpackages -m . > Packages 2>/dev/null); }
record() { # name command…: stdin is empty, descriptor 3 is the status descriptor
  local name=$1; shift; local rc
  "$@" >o 2>e 3>s </dev/null; rc=$?
  { echo "# recorded: $VERSIONS"; echo "# command: $*"; echo "-- exit --"; echo $rc
    echo "-- stdout --"; cat o; echo "-- stderr --"; cat e
    if [ -s s ]; then echo "-- status --"; cat s; fi; } > "$OUT/$name.txt"
}
APT="-o Dir::Etc::SourceList=$D/sample.list -o Dir::Etc::SourceParts=- -o Dir::State::Lists=$D/lists -o Dir::Cache=$D/cache"
O="$APT -o DPkg::Lock::Timeout=120 -q"
SIM="apt-get $O -s -y -o Debug::NoLocking=1"
DO="apt-get $O -y --no-remove -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o APT::Status-Fd=3"
FORMAT='${binary:Package}\t${Version}\t${Architecture}\t${Installed-Size}\t${db:Status-Abbrev}\n'
echo "deb [trusted=yes] file:$D/repo ./" > sample.list

for p in a bad held dep victim brk ph; do package steward-sample-$p 1.0.0; done
package steward-sample-arch 1:1.0.0-1 '' '' "$(dpkg --print-architecture)"
index; apt-get $O update >/dev/null
apt-get $O -y install steward-sample-{a,bad,held,dep,victim,brk,ph,arch} >/dev/null 2>&1
package steward-sample-a 1.1.0
package steward-sample-bad 1.1.0 '' 'echo about to fail >&2\nexit 3\n'
package steward-sample-held 1.1.0
package steward-sample-new 1.0.0
package steward-sample-dep 1.1.0 'Depends: steward-sample-new\n'
package steward-sample-brk 1.1.0 'Breaks: steward-sample-victim\nConflicts: steward-sample-victim\n'
package steward-sample-ph 1.1.0 'Phased-Update-Percentage: 0\n'
package steward-sample-arch 1:1.1.0-1 '' '' "$(dpkg --print-architecture)"
index
record update apt-get $O update
apt-mark hold steward-sample-held >/dev/null

record showhold apt-mark showhold
record simulate-upgrade $SIM --with-new-pkgs upgrade
record simulate-dist-upgrade $SIM dist-upgrade
record simulate-one $SIM install --only-upgrade steward-sample-a=1.1.0
record simulate-new-dependency $SIM install --only-upgrade steward-sample-dep=1.1.0
record simulate-removal $SIM install --only-upgrade steward-sample-brk=1.1.0
record no-remove $SIM --no-remove install --only-upgrade steward-sample-brk=1.1.0
record held $SIM install --only-upgrade steward-sample-held=1.1.0
record no-package $SIM install --only-upgrade steward-sample-nosuch=1.0
record no-version $SIM install --only-upgrade steward-sample-a=9.9
record not-installed $SIM install --only-upgrade steward-sample-new=1.0.0
record already $SIM install --only-upgrade steward-sample-a=1.0.0
record policy apt-cache $O policy steward-sample-brk steward-sample-held steward-sample-ph steward-sample-new
record show apt-cache $O show steward-sample-a=1.1.0 steward-sample-arch=1:1.1.0-1
record table dpkg-query -W -f "$FORMAT" 'steward-sample-*' dpkg libc6
record table-none dpkg-query -W -f "$FORMAT" steward-sample-nosuch
record bad-option apt-get -o nonsense update
record not-root setpriv --reuid=65534 --clear-groups apt-get $O -y install --only-upgrade steward-sample-a=1.1.0

cat > lock.py <<'P'
import fcntl, sys, time
f = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print('ok', flush=True); time.sleep(4)
P
coproc python3 lock.py; read -r _ <&"${COPROC[0]}"
record lock-waited apt-get $APT -q -o DPkg::Lock::Timeout=1 -y install --only-upgrade steward-sample-a=1.1.0
record lock-at-once apt-get $APT -q -o DPkg::Lock::Timeout=0 -y install --only-upgrade steward-sample-a=1.1.0
record lock-dpkg dpkg --configure -a
wait

record install $DO install --only-upgrade steward-sample-a=1.1.0
record downgrade $SIM install --only-upgrade steward-sample-a=1.0.0
record downgrade-allowed $SIM --allow-downgrades install --only-upgrade steward-sample-a=1.0.0
record script-failed $DO install --only-upgrade steward-sample-bad=1.1.0
record table-half-configured dpkg-query -W -f "$FORMAT" steward-sample-bad
record simulate-half-configured $SIM --with-new-pkgs upgrade
record install-other-failed $DO install --only-upgrade steward-sample-arch=1:1.1.0-1
record configure-failed dpkg --configure -a
rm repo/steward-sample-dep_1.1.0.deb
record archive-missing $DO install --only-upgrade steward-sample-dep=1.1.0
apt-mark unhold steward-sample-held >/dev/null; apt-get $O -y purge 'steward-sample-*' >/dev/null 2>&1

record simulate-own-machine apt-get -s -q -o Debug::NoLocking=1 --with-new-pkgs upgrade

# Sources that do not answer, or that cannot be believed.
bad="-o Dir::Etc::SourceList=$D/bad.list -o Dir::Etc::SourceParts=- -o Dir::State::Lists=$D/lists2 -o Dir::Cache=$D/cache -q"; mkdir -p lists2/partial
echo "deb [trusted=yes] http://nosuch.invalid/debian ./" > bad.list
record offline apt-get $bad update
record offline-any apt-get $bad -o APT::Update::Error-Mode=any update
echo "deb [trusted=yes] http://127.0.0.1:9/debian ./" > bad.list
record refused apt-get $bad -o APT::Update::Error-Mode=any update
echo "deb file:$D/repo ./" > bad.list
record unsigned apt-get $bad -o APT::Update::Error-Mode=any update
mkdir repo2; printf 'Origin: x\nValid-Until: Sat, 01 Jan 2022 00:00:00 UTC\nDate: Fri, 01 Jan 2021 00:00:00 UTC\n' > repo2/Release; : > repo2/Packages
(cd repo2 && printf 'SHA256:\n %s 0 Packages\n' "$(sha256sum < Packages | cut -d' ' -f1)" >> Release)
export GNUPGHOME=$D/gpg; mkdir -m 700 gpg
if gpg --batch --quiet --passphrase '' --quick-gen-key 'sample@example.com' >/dev/null 2>&1; then
  gpg --batch --quiet --yes --clearsign -o repo2/InRelease repo2/Release
  echo "deb file:$D/repo2 ./" > bad.list
  record no-key apt-get $bad -o APT::Update::Error-Mode=any update
fi
echo "deb garbage" > bad.list
record malformed apt-get $bad update

# A full disk: for apt a cache of 500 KB, for dpkg a root of 1 MB.
package steward-sample-big 1.0.0; head -c 3000000 /dev/urandom > build/steward-sample-big-1.0.0/usr/share/steward-sample-big/data
dpkg-deb --root-owner-group -b build/steward-sample-big-1.0.0 repo/steward-sample-big_1.0.0.deb >/dev/null; index
(cd repo && exec python3 -m http.server --bind 127.0.0.1 18999 >/dev/null 2>&1) & web=$!
until (exec 4<>/dev/tcp/127.0.0.1/18999) 2>/dev/null; do :; done
echo "deb [trusted=yes] http://127.0.0.1:18999 ./" > sample.list; apt-get $O update >/dev/null
mount -t tmpfs -o size=500k tmpfs full && mkdir -p full/archives/partial
record disk-full-apt apt-get $O -o Dir::Cache=$D/full -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -y install --download-only steward-sample-big
umount full; mount -t tmpfs -o size=1m tmpfs full && mkdir -p full/var/lib/dpkg/{info,updates} full/tmp && touch full/var/lib/dpkg/{status,available}
record disk-full-dpkg dpkg --root=$D/full --force-not-root -i repo/steward-sample-big_1.0.0.deb
umount full
sed -i 's/^SHA256: ..../SHA256: 0000/' repo/Packages; rm -rf lists; mkdir -p lists/partial; apt-get $O update >/dev/null
record hash-mismatch apt-get $O -y install --download-only steward-sample-big
kill $web

# A root of its own for what must not happen to the real one.
mkdir -p root/var/lib/dpkg/{info,updates,triggers} root/etc; touch root/var/lib/dpkg/{status,available}
package steward-sample-conf 1.0.0; package steward-sample-conf 1.1.0
for v in 1.0.0 1.1.0; do d=build/steward-sample-conf-$v; mkdir -p $d/etc; echo $v > $d/etc/steward-sample; echo /etc/steward-sample > $d/DEBIAN/conffiles
  dpkg-deb --root-owner-group -b $d repo/steward-sample-conf_$v.deb >/dev/null; done
dpkg --root=$D/root -i repo/steward-sample-conf_1.0.0.deb >/dev/null 2>&1; echo changed > root/etc/steward-sample
record conffile-prompt dpkg --root=$D/root -i repo/steward-sample-conf_1.1.0.deb
package steward-sample-need 1.0.0 'Depends: steward-sample-nosuch\n'
record dependency-problem dpkg --root=$D/root -i repo/steward-sample-need_1.0.0.deb
OWN="-o Dir::State::status=$D/root/var/lib/dpkg/status"
record unmet $SIM $OWN --with-new-pkgs upgrade
echo > root/var/lib/dpkg/updates/0001
record interrupted apt-get $O $OWN -y install --only-upgrade steward-sample-a=1.1.0
cd /; rm -rf $D
