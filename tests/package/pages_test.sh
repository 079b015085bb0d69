#!/bin/bash
# Man pages and completions, as shells and groff take them. pages_test.sh BUILD_DIR
set -u
build=$(readlink -f "$1")
pages=$build/pages
kvmux=$build/kvmux
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
fail() {
  failed=$((failed + 1))
  echo "FAILED: $*"
}
has() { command -v "$1" > /dev/null || { echo "SKIP $2: $1 is not installed"; return 1; }; }

# All commands, as --help lists them: '' is the program itself.
below() {
  local name
  # shellcheck disable=SC2086  # a command of two words
  "$kvmux" $1 --help | sed -n '/^Subcommands:/,/^$/s/^  \([a-z-]*\) .*/\1/p' | while read -r name; do
    echo "${1:+$1 }$name"
    below "${1:+$1 }$name"
  done
}
mapfile -t commands < <(echo; below '')
[[ " ${commands[*]} " == *' sim run '* ]] || fail "commands cannot be read off --help: ${commands[*]}"

page_of() { local name="kvmux ${1}"; name=${name% }; echo "$pages/man1/${name// /-}.1"; }

# Every flag of --help is in the page, and none besides.
flags_agree() {
  local command help page
  for command in "${commands[@]}"; do
    page=$(page_of "$command")
    [ -s "$page" ] || { fail "no page $page"; continue; }
    # shellcheck disable=SC2086  # a command of two words
    help=$("$kvmux" $command --help | sed -n 's/^  \(-[^ ]*\).*/\1/p' | tr , '\n' | sort -u)
    sed -n '/^\.TP/ { n; p; }' "$page" | grep -o '\\fB\\-[^\\ ]*\(\\-[^\\ ]*\)*' | sed 's/\\fB//; s/\\-/-/g' | sort -u > "$dir/flags"
    [ -n "$help" ] && cmp -s "$dir/flags" <(echo "$help") || {
      fail "flags of '$command': page and --help differ"
      diff "$dir/flags" <(echo "$help") | head -n 5
    }
  done
  [ "$(find "$pages/man1" -name '*.1' | wc -l)" -eq ${#commands[@]} ] || fail "pages of commands that this test does not know: $(ls "$pages/man1")"
}

roff_is_clean() {
  local page
  for page in "$pages"/man1/*.1; do
    if [ -n "$has_groff" ]; then
      for device in utf8 ascii; do
        groff -ww -man -T$device -z "$page" > "$dir/err" 2>&1
        [ -s "$dir/err" ] && fail "groff -T$device $(basename "$page"): $(head -n 1 "$dir/err")"
      done
    fi
    [ -z "$has_man" ] && continue
    LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings -l "$page" 2> "$dir/err" > "$dir/text"
    [ -s "$dir/err" ] && fail "man --warnings $(basename "$page"): $(head -n 1 "$dir/err")"
    grep -q 'EXIT STATUS' "$dir/text" || fail "$(basename "$page") shows no exit status"
    lexgrog "$page" > /dev/null || fail "$(basename "$page"): its NAME cannot be indexed"
  done
  LC_ALL=C grep -nP '[^\x00-\x7f]' "$pages"/man1/*.1 | head -n 3 | grep . && fail 'a page has characters that not every groff knows'
}

# What bash would offer: WORDS… with the cursor behind the last one.
offers() {
  bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kvmux; printf "%s\n" "${COMPREPLY[@]}"' - "$pages/bash/kvmux" "$@" | sort -u | tr '\n' ' '
}
offered() {  # WANTED WORDS…: exactly these
  local wanted=$1 got
  shift
  got=$(offers "$@")
  [ "${got% }" = "$wanted" ] || fail "bash: $*: '${got% }', not '$wanted'"
}
among() {  # WANTED WORDS…: these and others
  local wanted=$1 got word
  shift
  got=$(offers "$@")
  for word in $wanted; do [[ " $got" == *" $word "* ]] || fail "bash: $*: no '$word' in '${got:0:200}'"; done
}
in_bash() {
  bash -n "$pages/bash/kvmux" || fail 'bash -n'
  [ "$(bash -c '. "$1"; complete -p kvmux' - "$pages/bash/kvmux")" = 'complete -F _kvmux kvmux' ] || fail 'nothing is registered with bash'
  among 'run compare sim doctor' kvmux ''
  offered 'run' kvmux ru
  offered 'compare run sweep yields' kvmux sim ''
  offered '--policies --policy' kvmux compare --pol
  offered '--policy' kvmux run --polic
  offered '' kvmux run --ratio
  offered '--ratio' kvmux sweep --ratio
  # Values: enumerated ones, names of policies and guests, lists, both ways to write them.
  offered 'auto both doorbell off sample' kvmux run --spin-detect ''
  offered 'sample' kvmux run --spin-detect = sa
  offered 'auto both doorbell off sample' kvmux run --spin-detect =
  offered 'split user' kvmux boot --irqchip ''
  offered 'off on past' kvmux run --deboost ''
  offered 'v2 v3 vee21' kvmux run --policy v
  offered 'yield,v2 yield,v3 yield,vee21' kvmux compare --policies yield,v
  offered 'lock' kvmux run --guest lo
  offered 'lock,ipi' kvmux compare --guest lock,ip
  offered 'kvm-pvm' kvmux sim run --cost-profile kvm-
  offered 'bash zsh' kvmux completion ''
  offered '' kvmux run --seconds ''
  # A flag without value: what follows is another flag.
  offered '--plain' kvmux compare --plan --plai
  # Files, with a space in the name, for flags and for positionals.
  (cd "$dir" && mkdir -p files && cd files && touch 'old results.jsonl' new.jsonl) || exit 3
  cd "$dir/files" || exit 3
  offered 'new.jsonl old results.jsonl' kvmux compare --out ''
  offered 'old results.jsonl' kvmux compare --from = ol
  offered 'new.jsonl' kvmux merge ne
  offered 'new.jsonl' kvmux boot --initrd new
  offered 'new.jsonl' kvmux boot ne
  # A bash that does not break words at "=".
  offered '--spin-detect=sample' kvmux run --spin-detect=sa
  cd "$dir" || exit 3
}

# What a terminal with zsh shows after TAB.
zsh_shows() {  # LINE PATTERN
  zsh -f -c '
    zmodload zsh/zpty
    zpty -b z zsh -f -i
    zpty -w z "unsetopt prompt_cr prompt_sp; PS1=; fpath=('"$pages"'/zsh \$fpath); autoload -Uz compinit; compinit -u -D; LISTMAX=1000; print READY"
    repeat 100; do zpty -r -t z line && [[ $line == *READY* && $line != *print* ]] && break; sleep 0.1; done
    zpty -w -n z "$1"$'"'\\t\\t'"'
    repeat 30; do sleep 0.1; while zpty -r -t z piece; do print -rn -- "$piece"; done; done
    zpty -d z' - "$1" > "$dir/zsh" 2>&1
  grep -Eq -- "$2" "$dir/zsh" || { fail "zsh: '$1': nothing like '$2'"; tail -n 5 "$dir/zsh" | cut -c1-200; }
}
in_zsh() {
  has zsh 'the completion in zsh' || return
  zsh -n "$pages/zsh/_kvmux" || fail 'zsh -n'
  [ "$(zsh -f -c 'fpath=("$1" $fpath); autoload -Uz compinit; compinit -u -D; print $_comps[kvmux]' - "$pages/zsh")" = _kvmux ] ||
    fail 'nothing is registered with zsh'
  zsh_shows 'kvmux ' 'compare.*compare policies'
  zsh_shows 'kvmux run --spin-detect ' 'doorbell'
  zsh_shows 'kvmux sim compare --policies yield,' 'hier'
}

has_groff=$(has groff 'roff warnings by groff' > "$dir/skip" && echo yes); cat "$dir/skip"
has_man=$(has man 'man --warnings' > "$dir/skip" && echo yes); cat "$dir/skip"
flags_agree
roff_is_clean
in_bash
in_zsh
[ $failed -eq 0 ] && echo 'all held'
exit $((failed != 0))
