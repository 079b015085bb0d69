#!/bin/sh
# Who may include whom (sched/README.md, apic/README.md, vmm/README.md): sched/ and apic/ are pure and do not
# know each other; guests know only their contract; the rooms of sched/ know those below them.
# include_rules.sh SOURCE_DIR
# Begins by breaking every rule in a made-up tree, to see that it notices.
set -eu

cxx_header='<[a-z_]+>'
# Of the C++ library: threads, clocks, files and streams. One annotated mutex is allowed: sched/base/mutex.h.
impure_header='<(thread|future|barrier|latch|semaphore|stop_token|csignal|ctime|fstream|filesystem|iostream|ostream|istream|sstream|mutex|shared_mutex|condition_variable|random|locale)>'
impure_word='std::(thread|jthread|async|cout|cerr)|(steady|system|high_resolution)_clock|clock_gettime|thread_local|getenv|fopen'

# The rooms of sched/, each with those that it may include besides itself. What lies in sched/ itself is above all of them
# but the simulator.
rooms='base
learn base
ipi base
policy base ipi
queue base
workers base queue
yield base learn ipi policy queue workers
place base policy queue workers
sim base learn ipi policy queue workers yield place .'

# complain FOLDER PATTERN WHY: lines of the folder that match; further arguments are grep's.
complain() {
  folder=$1 pattern=$2 why=$3
  shift 3
  found=$(grep -rnE --include='*.h' --include='*.cc' --include='*.c' --include='*.S' "$@" -e "$pattern" "$folder" || true)
  test -z "$found" && return 0
  printf '%s: %s\n%s\n' "$folder" "$why" "$found"
  broken=$((broken + 1))
}

check_rooms() {
  for folder in sched/*/; do
    room=$(basename "$folder")
    if ! allowed=$(printf '%s\n' "$rooms" | grep "^$room\( \|$\)"); then
      echo "sched/$room: no such room; say in include_rules.sh what it may include"
      broken=$((broken + 1))
      continue
    fi
    # "a b ." as "(a/|b/|)": the dot is sched/ itself.
    names=$(printf '%s' "$allowed" | sed -e 's/ /|/g' -e 's/[a-z][a-z]*/&\//g' -e 's/\./[a-z_]+\\./')
    upward=$(grep -rnE '^ *# *include "sched/' --include='*.h' --include='*.cc' "$folder" |
      grep -vE "include \"sched/($names)" || true)
    if [ -n "$upward" ]; then
      printf 'sched/%s: may include %s of sched/ and no more\n%s\n' "$room" "$allowed" "$upward"
      broken=$((broken + 1))
    fi
  done
}

# Prints what is wrong with the tree here; the number of broken rules is in $broken.
check() {
  broken=0
  for pure in sched apic; do
    other=$(test $pure = sched && echo apic || echo sched)
    complain $pure "^ *# *include \"$other/" "the pure folders do not include each other"
    complain $pure '^ *# *include "(vmm|guest|tests)/' "pure code does not know its users"
    # All that is neither its own, nor C++'s, nor tl::expected: KVM, POSIX, libraries.
    stray=$(grep -rnE '^ *# *include ' --include='*.h' --include='*.cc' $pure |
      grep -vE "include ($cxx_header|<tl/expected.hpp>|\"(sched|apic|vmm|guest|tests)/)" || true)
    if [ -n "$stray" ]; then
      printf '%s: only the C++ library and tl::expected\n%s\n' $pure "$stray"
      broken=$((broken + 1))
    fi
    complain $pure "^ *# *include $impure_header" "no threads, clocks, files or streams" --exclude=mutex.h
    complain $pure "$impure_word" "no threads, clocks, files or streams"
  done
  complain sched '^ *# *include "sched/sim/' "the scheduler does not know the simulator" --exclude-dir=sim
  check_rooms
  complain guest '^ *# *include "(vmm|sched|apic|tests)/' "guests know only guest/"
  complain vmm '^ *# *include "tests/' "the program does not know its tests"
  for free in sched apic guest; do
    complain $free '^ *# *include [<"](linux/kvm|liburing|CLI/|spdlog/|fmt/)' "only vmm/ knows KVM and these libraries"
  done
}

# One line that breaks a rule, in a tree that is otherwise clean.
must_notice() {
  trial=$(mktemp -d)
  mkdir -p "$trial/sched/sim" "$trial/sched/base" "$trial/sched/queue" "$trial/sched/yield" "$trial/apic" "$trial/guest" "$trial/vmm"
  printf '#include <cstdint>\n' > "$trial/sched/fine.h"
  printf '#include "sched/queue/tree.h"\n#include "sched/yield/effect.h"\n' > "$trial/sched/yield/fine.h"
  printf '#include "sched/scheduler.h"\n#include "sched/yield/effect.h"\n' > "$trial/sched/sim/fine.h"
  (cd "$trial" && check > /dev/null && test "$broken" -eq 0) || { echo "complains of a clean tree"; exit 1; }
  printf '%s\n' "$2" > "$trial/$1"
  (cd "$trial" && check > /dev/null && test "$broken" -gt 0) || { echo "does not notice '$2' in $1"; exit 1; }
  rm -rf "$trial"
}

must_notice sched/a.h '#include "apic/lapic.h"'
must_notice apic/a.h '#include "sched/base/types.h"'
must_notice sched/a.cc '#include "vmm/clock.h"'
must_notice apic/a.cc '#include <linux/kvm.h>'
must_notice sched/a.cc '#include <unistd.h>'
must_notice apic/a.cc '#include <spdlog/spdlog.h>'
must_notice sched/a.cc '#include <thread>'
must_notice apic/a.h '#include <mutex>'
must_notice sched/a.cc 'auto now = std::chrono::steady_clock::now();'
must_notice sched/a.cc '#include "sched/sim/simulator.h"'
must_notice sched/base/a.h '#include "sched/queue/tree.h"'
must_notice sched/queue/a.h '#include "sched/yield/candidate.h"'
must_notice sched/queue/a.cc '#include "sched/queues/tree.h"'
must_notice sched/queue/a.h '#include "sched/learn/trial.h"'
must_notice sched/queue/a.h '#include "sched/policy/tuning.h"'
must_notice sched/yield/a.cc '#include "sched/scheduler.h"'
must_notice sched/yield/a.cc '#include "sched/sim/simulator.h"'
must_notice sched/sim/a.cc '#include "sched/attic/old.h"'
must_notice guest/a.c '#include "vmm/ids.h"'
must_notice vmm/a.cc '#include "tests/race/race_support.h"'

cd "$1"
check
exit "$broken"
