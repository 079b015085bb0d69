#!/bin/bash
# The commit that --version names: right after HEAD has moved, honest in a tarball, and no reason to compile anything while
# it stays. version_test.sh SOURCE_DIR KVMUX
set -u
script=$(readlink -f "$1")/cmake/commit.cmake
kvmux=$(readlink -f "$2")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
fail() {
  failed=$((failed + 1))
  echo "FAILED: $*"
}
made() {  # SOURCE: the commit that the file names
  cmake -DSOURCE="$1" -DOUTPUT="$dir/commit.cc" -P "$script" > "$dir/log" 2>&1 || { fail "$(cat "$dir/log")"; return; }
  sed -n 's/.*kCommit = "\(.*\)";/\1/p' "$dir/commit.cc"
}

[ "$("$kvmux" --version | head -n 1)" = "kvmux $(sed -n 's/^project(kvmux VERSION \([0-9.]*\).*/\1/p' "$1/CMakeLists.txt")" ] ||
  fail "the first line of --version: $("$kvmux" --version | head -n 1)"
for word in commit compiler liburing libseccomp Zydis zlib CLI11 fmt spdlog; do
  "$kvmux" --version | grep -Eq "^$word +[^ ]" || fail "--version says nothing of $word"
done

if ! command -v git > /dev/null; then
  echo 'SKIP the commit: git is not installed'
else
  export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a
  repository=$dir/repository
  git init -q "$repository" && cd "$repository" && echo 1 > file && git add file && git commit -qm one
  one=$(made "$repository")
  [ "$one" = "$(git rev-parse --short=12 HEAD)" ] || fail "commit '$one', not $(git rev-parse --short=12 HEAD)"
  touch -d 2001-01-01 "$dir/commit.cc"
  made "$repository" > "$dir/again"
  [ "$(stat -c %Y "$dir/commit.cc")" -lt 1000000000 ] || fail 'the file is written anew though nothing has moved'
  echo 2 > file
  [ "$(made "$repository")" = "$one-dirty" ] || fail 'a changed file is not said'
  git commit -qam two
  [ "$(made "$repository")" = "$(git rev-parse --short=12 HEAD)" ] || fail 'HEAD has moved, the file has not'
  # Unpacked inside a repository that is not kvmux' own.
  mkdir "$repository/kvmux"
  [ -z "$(made "$repository/kvmux")" ] || fail "a tarball inside a repository claims that one's commit"
fi
mkdir "$dir/tarball"
[ -z "$(made "$dir/tarball")" ] || fail 'a tarball claims a commit'
[ $failed -eq 0 ] && echo 'all held'
exit $((failed != 0))
