# Runs the suites inside the emulated host (sourced by init). Every line for run.sh begins with `hw|`:
#   hw|start|KERNEL|CPUS|CLOCK       hw|case|SUITE|STATUS|MILLISECONDS|NAME|REASON      hw|log|TEXT      hw|alive      hw|end
# `hw|begin|SUITE|NAME` comes before each case, so that one which takes the emulated host with it is known.
# From settings: suites, selection (a file in /hw with regular expressions of the names wanted, or nothing), case_seconds, resume_at
# (SUITE|NAME with which to begin, or nothing), resume_behind (1: with what comes after it).
build=$(cat /hw/build)
kvmux=$build/kvmux
now_ms() { awk '{ print int($1 * 1000) }' /proc/uptime; }

report() { # SUITE NAME STATUS START_MS: the case's output is in /tmp/out
  local reason=
  case $3 in
    SKIP) reason=$(sed -n 's/^SKIP [^:]*: //p' /tmp/out | head -n 1) ;;
    PASS) ;;
    *) tail -n 60 /tmp/out | tr -d '\r' | sed 's/^/hw|log|/' ;;
  esac
  echo "hw|case|$1|$3|$(($(now_ms) - $4))|$2|$reason"
}

status_of() { # EXIT_STATUS
  case $1 in
    0) if grep -q '^SKIP ' /tmp/out; then echo SKIP; else echo PASS; fi ;;
    124 | 137 | 143) echo TIMEOUT ;;
    *) echo FAIL ;;
  esac
}

wanted() { # SUITE NAME
  if [ -n "$resume_at" ]; then
    [ "$1|$2" = "$resume_at" ] || return 1
    resume_at=
    [ "$resume_behind" = 0 ] || return 1
  fi
  [ -z "$selection" ] || echo "$1 $2" | grep -qEf "/hw/$selection"
}

# One process a test case: a crash or a hang is that case's.
doctest_suite() { # SUITE PROGRAM
  local index=0 name start
  "$2" --list-test-cases --order-by=file | grep -v -e '^\[doctest\]' -e '^===' >/tmp/cases
  while read -r name; do
    index=$((index + 1))
    wanted "$1" "$name" || continue
    echo "hw|begin|$1|$name"
    start=$(now_ms)
    timeout -s KILL "$case_seconds" "$2" --order-by=file --first=$index --last=$index </dev/null >/tmp/out 2>&1
    report "$1" "$name" "$(status_of $?)" "$start"
  done </tmp/cases
}

limited() { timeout -s KILL "$case_seconds" "$@"; }

# A function bounds its own time, by calling what takes long with `limited`.
one_function() { # SUITE NAME FUNCTION...
  local suite=$1 name=$2 start
  shift 2
  wanted "$suite" "$name" || return
  echo "hw|begin|$suite|$name"
  start=$(now_ms)
  "$@" </dev/null >/tmp/out 2>&1
  report "$suite" "$name" "$(status_of $?)" "$start"
}

one_command() { # SUITE NAME COMMAND...
  local suite=$1 name=$2
  shift 2
  one_function "$suite" "$name" limited "$@"
}

# What a user would call first, with LAPICs where `--irqchip` of run.sh says.
smoke_suite() {
  local policy
  one_command smoke doctor "$kvmux" doctor
  for policy in $smoke_policies; do
    one_command smoke "run lock, 2 x 4, $policy" "$kvmux" run --guest lock --vms 2 --vcpus 4 --seconds 1 --policy "$policy"
  done
  one_command smoke "run ipi, 2 x 4, host with LAPICs in $irqchip space" \
    "$kvmux" run --guest ipi --vms 2 --vcpus 4 --seconds 1 --policy host --irqchip "$irqchip"
}

. /hw/linux.sh

# Whoever watches knows a long case from a machine that has died.
while sleep 20; do echo 'hw|alive'; done &
/hw/keep_vms &
echo # the firmware leaves its line unfinished
echo "hw|start|$(uname -r)|$(nproc)|$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
[ -c /dev/kvm ] || echo "hw|log|no /dev/kvm: $(dmesg | grep -i kvm | tail -n 1)"
for suite in $suites; do
  case $suite in
    kvm) doctest_suite kvm "$build/kvm" ;;
    boot) doctest_suite boot "$build/kvm_boot" ;;
    cli) one_command cli 'command line' bash /hw/cli_test.sh "$kvmux" "$build/guests/doc_token.elf" ;;
    smoke) smoke_suite ;;
    linux) linux_suite ;;
    linux_presets) linux_presets_suite ;;
    probe)
      one_command probe 'no interrupt window between STI and HLT' /hw/sti_hlt 1000
      one_command probe 'the first exit behind a delivered event' /hw/first_exit
      one_command probe 'LOCK CMPXCHG16B faults as a write' /hw/cmpxchg16b
      one_command probe 'an address space stays, 8 vCPUs' /hw/spin_vm 8 240
      ;;
    script) . /hw/script ;;
  esac
done
dmesg | grep -E 'WARNING:|BUG:|soft lockup|rcu.*stall' | sed 's/^/hw|log|host: /'
echo 'hw|end'
