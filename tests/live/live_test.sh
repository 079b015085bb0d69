#!/bin/sh
# --live on terminals (live_test.py): skipped, with the reason, without python3 or KVM.
# live_test.sh KVMUX GUEST.elf ECHO.elf [word …]
set -eu
if ! command -v python3 > /dev/null; then
  echo "skipped: no python3"
  exit 77
fi
exec python3 -B "$(dirname "$0")/live_test.py" "$@"
