# Sourced by tests of the command line, with $dir theirs and failed=0: one command at a time, and what it says.

# ends STATUS WHAT COMMAND…
ends() {
  local wanted=$1 what=$2
  shift 2
  timeout -k 5 60 "$@" > "$dir/out" 2> "$dir/err" < /dev/null
  local got=$?
  [ $got -eq "$wanted" ] && return
  failed=1
  echo "FAILED: $what: exit $got, not $wanted"
  sed 's/^/  /' "$dir/err"
}
says() { grep -Eq -- "$1" "$dir/out" "$dir/err" || { failed=1; echo "FAILED: $2: nothing says '$1'"; }; }
says_not() { ! grep -Eq -- "$1" "$dir/out" "$dir/err" || { failed=1; echo "FAILED: $2: something says '$1'"; }; }
