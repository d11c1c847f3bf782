#!/usr/bin/env bash
# Makes the Go code of proto/. With --check it changes nothing: it lints the
# .proto files, generates into a temporary folder and fails when what is
# committed differs from that.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "$(find proto -name '*.proto' 2>/dev/null)" ]; then
  echo "generate: no .proto files"
  exit 0
fi

generated() { (cd "$1" && find . -name '*.pb.go' -type f | LC_ALL=C sort); }

if [ "${1:-}" != "--check" ]; then
  bin/tools/buf generate
  exit 0
fi

bin/tools/buf lint
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
bin/tools/buf generate -o "$fresh"

status=0
while read -r file; do
  if [ ! -f "$fresh/proto/$file" ]; then
    echo "proto/${file#./}: no .proto file makes it any more; delete it" >&2
    status=1
  elif [ ! -f "proto/$file" ]; then
    echo "proto/${file#./}: missing; run make generate and commit" >&2
    status=1
  elif ! cmp -s "proto/$file" "$fresh/proto/$file"; then
    echo "proto/${file#./}: differs from its .proto file; run make generate and commit" >&2
    status=1
  fi
done < <({ generated proto; generated "$fresh/proto"; } | LC_ALL=C sort -u)
exit "$status"
