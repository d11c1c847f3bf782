#!/usr/bin/env bash
# Runs staticcheck on everything. The agent is looked at as Linux, Windows and
# macOS in one merged run: a function that only the Windows file calls is used.
set -euo pipefail
cd "$(dirname "$0")/.."

check=bin/tools/staticcheck
status=0
rest=()
for room in server proto scripts installers; do
  [ -n "$(find "$room" -name '*.go' -not -path 'scripts/tools/*' -print -quit 2>/dev/null)" ] && rest+=("./$room/...")
done
[ ${#rest[@]} -eq 0 ] || "$check" -tags e2e "${rest[@]}" || status=1

if [ -n "$(find agent -name '*.go' -print -quit 2>/dev/null)" ]; then
  printf '%s\n' 'linux: GOOS=linux' 'windows: GOOS=windows' 'darwin: GOOS=darwin' |
    CGO_ENABLED=0 "$check" -matrix ./agent/... || status=1
fi
exit "$status"
