#!/bin/bash
# The recipes of docs/many-machines.md for GNU parallel and for Slurm, as they stand there, with trouble: one shard fails
# at its first try, one is killed in the middle. cluster_test.sh KVMUX
# Slurm is set up for this test alone: slurmctld, two slurmd and munged of its own, on the loopback device, in a
# temporary folder. By command, not in ctest: Slurm starts a requeued task two minutes later.
set -u
kvmux=$(readlink -f "$1")
page=$(readlink -f "$(dirname "$0")/../../docs/many-machines.md")
dir=$(mktemp -d)
slurm=$dir/slurm
failed=0
fail() {
  failed=$((failed + 1))
  echo "FAILED: $*"
}
cleanup() {
  local file
  for file in "$slurm"/slurmd-n1.pid "$slurm"/slurmd-n2.pid "$slurm"/ctld.pid "$slurm"/munge/pid; do
    [ -s "$file" ] && kill "$(cat "$file")" 2> /dev/null
  done
  sleep 1
  rm -rf "$dir"
}
trap cleanup EXIT
PATH=$PATH:/usr/sbin:/sbin

lacks() {  # TOOLS…: says the first that is not there
  local tool
  for tool in "$@"; do command -v "$tool" > /dev/null || { echo "$tool"; return 0; }; done
  return 1
}

# A recipe of the page: the lines of its code block that begins with this comment.
recipe() { awk -v head="# recipe: $1" '$0 == head { on = 1; next } /^```/ { on = 0 } on' "$page"; }

# A kvmux that has trouble once: shard 2 fails before it has begun, shard 3 is killed when it has two results.
troubled_kvmux() {
  cat > "$1/kvmux" << W
#!/bin/bash
for word in "\$@"; do [[ \$last == --out ]] && out=\$word; [[ \$last == --shard ]] && shard=\$word; last=\$word; done
case \${shard-} in
  2/*)
    [ -e '$1/failed' ] || { touch '$1/failed'; echo 'made to fail' >&2; exit 3; }
    ;;
  3/*)
    if [ ! -e '$1/killed' ]; then
      touch '$1/killed'
      '$kvmux' "\$@" &
      while kill -0 \$! 2> /dev/null; do
        [ -s "\$out" ] && mapfile -t lines < "\$out" && runs=("\${lines[@]/*'"kind":"run"'*/x}")
        count=0
        for line in "\${runs[@]}"; do [ "\$line" = x ] && count=\$((count + 1)); done
        [ \$count -ge 2 ] && kill -KILL \$!
      done
      wait \$!
      echo \$? > '$1/killed'
      exit 137
    fi
    ;;
esac
exec '$kvmux' "\$@"
W
  chmod +x "$1/kvmux"
}

run_recipe() {  # NAME SECONDS
  local work=$dir/work
  rm -rf "$work" && mkdir "$work"
  troubled_kvmux "$work"
  recipe "$1" > "$dir/recipe.sh"
  [ -s "$dir/recipe.sh" ] || { fail "the page has no recipe '$1'"; return; }
  (cd "$work" && PATH=$work:$PATH timeout "$2" bash -eu "$dir/recipe.sh" > "$dir/out" 2> "$dir/err") || {
    fail "recipe '$1': exit $?"
    tail -n 5 "$dir/err"
    return
  }
  [ -e "$work/failed" ] || fail "recipe '$1': no shard failed, nothing is shown"
  [ "$(cat "$work/killed")" = 137 ] || fail "recipe '$1': no shard was killed in the middle, nothing is shown"
  "$kvmux" sim compare --from "$work/all.jsonl" | cmp - "$dir/whole.table" || fail "recipe '$1' prints another table"
  echo "ran recipe '$1': one shard failed and was tried again, one was killed and went on"
}

start_slurm() {
  local host port=$((20000 + $$ % 10000)) node
  host=$(hostname)
  mkdir -p "$slurm"/{state,spool-n1,spool-n2} && mkdir -m 700 "$slurm/munge"
  head -c 1024 /dev/urandom > "$slurm/munge/key" && chmod 400 "$slurm/munge/key"
  munged --force --key-file "$slurm/munge/key" --socket "$slurm/munge/socket" --pid-file "$slurm/munge/pid" \
    --log-file "$slurm/munge/log" --seed-file "$slurm/munge/seed" --num-threads 1 || return 1
  cat > "$slurm/slurm.conf" << C
ClusterName=kvmux
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$slurm/munge/socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
ReturnToService=2
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool-%n
SlurmctldPidFile=$slurm/ctld.pid
SlurmdPidFile=$slurm/slurmd-%n.pid
SlurmctldLogFile=$slurm/ctld.log
SlurmdLogFile=$slurm/slurmd-%n.log
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=1
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=1
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
C
  export SLURM_CONF=$slurm/slurm.conf
  slurmctld -f "$SLURM_CONF" || return 1
  for node in n1 n2; do slurmd -N $node -f "$SLURM_CONF" || return 1; done
  for _ in $(seq 20); do
    timeout 10 sinfo -h -o '%D %t' 2> /dev/null | grep -qx '2 idle' && return 0
    sleep 1
  done
  return 1
}

"$kvmux" sim compare --guest lock,ipi --vms 2,3 --vcpus 4 --policies yield,kvmux --repeat 3 --seconds 0.05 \
  --out "$dir/whole.jsonl" > /dev/null 2>&1
"$kvmux" sim compare --from "$dir/whole.jsonl" > "$dir/whole.table"

if tool=$(lacks parallel); then
  echo "SKIP recipe 'GNU parallel': $tool is not installed (Debian: parallel)"
else
  run_recipe 'GNU parallel' 120
fi
if tool=$(lacks munged slurmctld slurmd sbatch scontrol); then
  echo "SKIP recipe 'Slurm': $tool is not installed (Debian: slurmctld slurmd slurm-client munge)"
elif ! start_slurm; then
  fail "Slurm does not start here: $(tail -q -n 2 "$slurm"/*.log "$slurm/munge/log" 2> /dev/null)"
else
  run_recipe 'Slurm' 600
fi
[ $failed -eq 0 ] && echo 'all held'
exit $((failed != 0))
