#!/bin/sh
# The guest of docs/write-a-guest.md, built as its reader would: outside the tree, from the page's text and
# guest/abi.h alone. doc_guest.sh SOURCE_DIR C_COMPILER OUTPUT.elf
set -eu
page=$1/docs/write-a-guest.md
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mkdir -p "$out/contract/guest" "$out/guest"
cp "$1/guest/abi.h" "$out/contract/guest/"

# The first fenced block of a language.
block() { awk -v fence='```' -v lang="$1" '$0 == fence { inside = 0 } inside { print } $0 == fence lang && !seen { seen = inside = 1 }' "$page"; }

block c > "$out/guest/token.c"
block sh | sed "1s|^gcc |$2 -Werror |" > "$out/guest/build.sh"
grep -q _start "$out/guest/token.c" && grep -q -- -Werror "$out/guest/build.sh"
cd "$out/guest"
KVMUX=$out/contract sh -eu ./build.sh
cp token.elf "$3"
readelf -hl "$3" | grep -q 'Type: *EXEC' || { echo "not a static image" >&2; exit 1; }
# A relocation that nobody applies, or an undefined symbol, would only show when the guest runs.
test -z "$(nm -u "$3")"
