#!/bin/sh
# The example of docs/write-a-policy.md as its reader would do it: the page's changes applied to a copy of sched/,
# its case built on top and run. doc_policy.sh SOURCE_DIR CXX FLAGS LIBRARY...
# FLAGS: more flags for the compiler, as one word list. LIBRARY: the scheduler's and the tests' own.
set -eu
source=$1 compiler=$2 flags=$3
shift 3
page=$source/docs/write-a-policy.md
command -v patch >/dev/null || { echo "SKIP: there is no patch(1) here" >&2; exit 77; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mkdir -p "$out/tests/unit/sched"
cp -R "$source/sched" "$out/"
cp "$source/tests/unit/sched/support.h" "$out/tests/unit/sched/"

# All fenced blocks of a language.
blocks() { awk -v fence='```' -v lang="$1" '$0 == fence { inside = 0 } inside { print } $0 == fence lang { inside = 1 }' "$page"; }

blocks diff > "$out/page.diff"
blocks cpp > "$out/tests/unit/sched/oldest_test.cc"
grep -q TEST_CASE "$out/tests/unit/sched/oldest_test.cc"
cd "$out"
patch -p1 --quiet < page.diff
changed=$(sed -n 's|^+++ b/\(.*\.cc\)$|\1|p' page.diff)
test -n "$changed"
# What the page changes comes from here, the rest from the library.
for file in $changed tests/unit/sched/oldest_test.cc; do
  # shellcheck disable=SC2086  # a list
  "$compiler" -std=c++20 -O1 $flags -Wall -Wextra -Wconversion -Wshadow -Werror -I. -c "$file" -o "$(basename "$file" .cc).o"
done
# shellcheck disable=SC2086
"$compiler" $flags ./*.o "$@" -o oldest_test
./oldest_test
