#!/bin/sh
# How large things in sched/ may grow before they are taken apart: no file beyond 300 lines, no function beyond 50, and
# the front, class Scheduler, with at most 25 members that are its own business.
# size_rules.sh SOURCE_DIR
# Begins by breaking every rule in made-up files, to see that it notices.
set -eu

# long_functions FILE…: blocks of more than 50 lines, braces included, that are no namespace, type or table. Braces in
# comments, strings and character constants do not count. What opens a block is the text since the last of ; { }.
long_functions() {
  awk '
    FNR == 1 { depth = 0; head = ""; in_comment = 0 }
    {
      line = $0
      gsub(/\\./, "", line)
      gsub(/"[^"]*"/, "\"\"", line)
      gsub(/'"'"'[^'"'"']'"'"'/, "0", line)
      gsub(/\/\*[^*]*\*\//, "", line)
      if (in_comment) { if (line !~ /\*\//) next; sub(/^.*\*\//, "", line); in_comment = 0 }
      sub(/\/\/.*$/, "", line)
      if (line ~ /\/\*/) { sub(/\/\*.*$/, "", line); in_comment = 1 }
      if (line ~ /^ *#/) next
      n = length(line)
      for (i = 1; i <= n; ++i) {
        c = substr(line, i, 1)
        if (c == "{") {
          from[depth] = FNR
          what[depth] = head
          ++depth
          head = ""
        } else if (c == "}") {
          if (depth > 0) --depth
          # What follows a name at once is a value, perhaps in the list before a constructor body.
          if (what[depth] ~ /[A-Za-z0-9_>]$/) {
            head = what[depth]
            continue
          }
          # A function has parameters; a table is a value, or "= {".
          if (FNR - from[depth] + 1 > 50 && what[depth] ~ /\(/ && what[depth] !~ /(^|[^a-z_])(namespace|class|struct|union|enum)[^a-z_]/ &&
              what[depth] !~ /= *$/) {
            title = what[depth]
            gsub(/^ +| +$/, "", title)
            printf "%s:%d: %d lines: %s\n", FILENAME, from[depth], FNR - from[depth] + 1, substr(title, 1, 80)
          }
          head = ""
        } else if (c == ";") {
          head = ""
        } else {
          head = head c
        }
      }
      head = head " "
    }' "$@"
}

long_files() {
  for file in "$@"; do
    lines=$(wc -l < "$file")
    if [ "$lines" -gt 300 ]; then echo "$file: $lines lines"; fi
  done
}

# members CLASS FILE: how many members the class has behind `private:`, functions and data; as clang-format writes it, each
# begins at two spaces.
members() {
  awk -v class="$1" '
    $0 ~ "^class " class "( |$)" { inside = 1 }
    inside && /^};/ { exit }
    inside && /^ (public|protected):/ { own = 0 }
    inside && /^ private:/ { own = 1 }
    inside && own && /^  [^ \/}]/ { ++n }
    END { print n + 0 }' "$2"
}

# Prints what is wrong with these files.
check() {
  long_files "$@"
  long_functions "$@"
}

must_notice() {  # how many lines, of what: a line that repeats, before it, after it
  trial=$(mktemp -d)
  { printf '%s\n' "$3"; yes "$2" | head -n "$1"; printf '%s\n' "$4"; } > "$trial/a.cc"
  found=$(check "$trial/a.cc")
  rm -rf "$trial"
  case "$5" in
    yes) test -n "$found" || { echo "does not notice $1 lines of '$2' in '$3'"; exit 1; } ;;
    no) test -z "$found" || { echo "complains of $1 lines of '$2' in '$3': $found"; exit 1; } ;;
  esac
}
must_notice 299 '' '' '' yes
must_notice 297 '' '' '' no
must_notice 49 '  f();' 'void g(int a) {' '}' yes
must_notice 48 '  f();' 'void g(int a) {' '}' no
must_notice 60 '  f("}");  // }' 'void g(int a) {' '}' yes
must_notice 60 '  if (a) { f(); }' 'int A::g() const {' '}' yes
must_notice 60 '    f();' "$(printf 'class A {\n  int g(int a,\n        int b) {')" "$(printf '  }\n};')" yes
must_notice 60 '  f();' 'A::A(int a) : a_{a}, b_(a) {' '}' yes
must_notice 60 '  void f();' 'class A final : public B<int(int)> {' '};' no
must_notice 60 '  {1, 2},' 'constexpr std::array kTable{' '};' no
must_notice 60 'void f() {}' 'namespace a {' '}' no

trial=$(mktemp)
printf 'class Front {\n public:\n  int a();\n private:\n  int b() const;\n  // not one\n  void c(int d,\n         int e);\n  int f_ = 0;\n};\nclass Other {\n private:\n  int g_;\n};\n' > "$trial"
own=$(members Front "$trial")
rm "$trial"
test "$own" -eq 3 || { echo "counts $own members of a class that has three"; exit 1; }

cd "$1"
# shellcheck disable=SC2046  # a list
found=$(check $(find sched -name '*.h' -o -name '*.cc'))
own=$(members Scheduler sched/scheduler.h)
if [ "$own" -lt 1 ] || [ "$own" -gt 25 ]; then
  found="$found
sched/scheduler.h: class Scheduler has $own members of its own; accepted are up to 25"
fi
test -z "$found" || { printf 'sched/ outgrows its house:\n%s\n' "$found"; exit 1; }
