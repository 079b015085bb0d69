#!/bin/sh
# The examples of docs/write-a-policy.md as their reader would do it: the page's changes applied to a copy of sched/,
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
# What the page changes, and what lists the rules, comes from here; the rest from the library.
listing=$(grep -lE 'SCHED_[A-Z]+_(RULES|FILES)|RuleNames' -r sched --include='*.cc')
for file in $(printf '%s\n' "$changed" "$listing" | sort -u) tests/unit/sched/oldest_test.cc; do
  # shellcheck disable=SC2086  # a list
  "$compiler" -std=c++20 -O1 $flags -Wall -Wextra -Wconversion -Wshadow -Werror -I. -c "$file" -o "$(echo "$file" | tr / _).o"
done
# shellcheck disable=SC2086
"$compiler" $flags ./*.o "$@" -o oldest_test
./oldest_test
