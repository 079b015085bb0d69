#!/bin/bash
# A grid on many machines: cut in shards, measured by several jobs, merged. shard_test.sh KVMUX
# The recipes of docs/many-machines.md are run as they stand there, where their tools are installed.
set -u
kvmux=$(readlink -f "$1")
page=$(readlink -f "$(dirname "$0")/../../docs/many-machines.md")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 3
failed=0

fail() {
  failed=$((failed + 1))
  echo "FAILED: $*"
  sed 's/^/  err: /' err 2> /dev/null | tail -n 5
}

grid=(sim compare --guest lock,ipi,mixed,compute --vms 1,2,3 --vcpus 2,4 --policies yield,kvmux --repeat 3 --seconds 0.05)
print() { "$kvmux" sim compare --from "$1"; }

# The whole grid is what all else must agree with, byte for byte.
"$kvmux" "${grid[@]}" --out whole.jsonl > whole.txt 2> err || fail "the uncut grid: exit $?"
[ "$(grep -c '"kind":"run"' whole.jsonl)" -eq 144 ] || fail 'the uncut grid has not 144 runs'
print whole.jsonl > whole.table
grep -q 'baseline' whole.table || fail 'the uncut grid prints no table'

sixteen_shards() {
  for i in $(seq 16); do
    "$kvmux" "${grid[@]}" --shard "$i/16" --out "s$i.jsonl" > /dev/null 2> err || fail "shard $i: exit $?"
  done
  "$kvmux" merge s*.jsonl -o merged.jsonl 2> err || fail "merge: exit $?"
  print merged.jsonl | cmp - whole.table || fail '16 shards, merged, print another table'
  # The same cells and seeds whatever N.
  for i in 1 2 3; do "$kvmux" "${grid[@]}" --shard "$i/3" --out "t$i.jsonl" > /dev/null 2> err; done
  "$kvmux" merge t3.jsonl t1.jsonl t2.jsonl -o three.jsonl 2> err || fail "merge of three: exit $?"
  cmp <(grep '"kind":"run"' merged.jsonl) <(grep '"kind":"run"' three.jsonl) || fail '3 and 16 shards: other runs'
}

more_shards_than_cells() {
  "$kvmux" sim compare --guest compute --vms 1 --vcpus 2 --repeat 1 --seconds 0.01 --shard 2/2 --out none.jsonl > none.txt 2> err ||
    fail "a shard without cells: exit $?"
  [ "$(grep -c '"kind":"run"' none.jsonl)" -eq 0 ] || fail 'a shard without cells has runs'
  "$kvmux" merge none.jsonl s1.jsonl -o /dev/null 2> err || fail 'a shard without cells cannot be merged'
}

jobs() {
  "$kvmux" "${grid[@]}" --jobs 3 --out jobs.jsonl > jobs.txt 2> err || fail "--jobs 3: exit $?"
  cmp jobs.txt whole.txt || fail '--jobs 3 prints another table'
  cmp <(grep '"kind":"run"' jobs.jsonl) <(grep '"kind":"run"' whole.jsonl) || fail '--jobs 3 writes other runs'
}

killed_and_failed() {
  # Killed in the middle, and told to go on by the same command.
  timeout -s KILL 0.5 "$kvmux" "${grid[@]}" --shard 1/2 --out k1.jsonl > /dev/null 2>&1
  "$kvmux" "${grid[@]}" --shard 1/2 --out k1.jsonl > /dev/null 2> err || fail "a killed shard: exit $?"
  # Failed before it began (a folder that is not there), then retried.
  "$kvmux" "${grid[@]}" --shard 2/2 --out absent/k2.jsonl > /dev/null 2>&1 && fail 'a shard that cannot write succeeds'
  "$kvmux" "${grid[@]}" --shard 2/2 --out k2.jsonl > /dev/null 2> err || fail "a failed shard: exit $?"
  "$kvmux" merge k1.jsonl k2.jsonl -o k.jsonl 2> err || fail "merge of a killed and a failed shard: exit $?"
  print k.jsonl | cmp - whole.table || fail 'a killed and a failed shard print another table'
}

refusals() {
  sed 's/"kvmux_version":"[^"]*"/"kvmux_version":"9.9"/' s2.jsonl > other.jsonl
  "$kvmux" merge s1.jsonl other.jsonl -o x.jsonl 2> err && fail 'two versions are merged'
  grep -q 'kvmux 9.9.*--mixed' err || fail 'two versions: the message does not name them and --mixed'
  "$kvmux" merge s1.jsonl other.jsonl --mixed -o x.jsonl 2> err || fail '--mixed is refused'
  print x.jsonl | grep -q 'on kvmux 9.9' || fail '--mixed: the version is no factor'
  # Real runs on two hosts (the simulator's do not depend on it).
  sed 's/"backend":"sim"/"backend":"kvm"/; s/"cpu_model":"[^"]*"/"cpu_model":"Model A"/' s1.jsonl > a.jsonl
  sed 's/Model A/Model B/' a.jsonl > b.jsonl
  "$kvmux" merge a.jsonl b.jsonl -o x.jsonl 2> err && fail 'two hosts are merged'
  grep -q 'Model B' err || fail 'two hosts: the message does not name them'
  "$kvmux" merge a.jsonl b.jsonl --mixed -o x.jsonl 2> err || fail 'two hosts: --mixed is refused'
  print x.jsonl | grep -q 'on Model A' || fail 'two hosts: the host is no factor'
  # The same run with two results.
  sed 's/"throughput":[0-9.]*/"throughput":1.5/' s1.jsonl > lie.jsonl
  "$kvmux" merge s1.jsonl lie.jsonl -o x.jsonl 2> err && fail 'one run with two results is merged'
  local bad
  for bad in 0/4 5/4 4 x/2 1/0; do
    "$kvmux" "${grid[@]}" --shard $bad > /dev/null 2> err
    [ $? -eq 2 ] && grep -q -- '--shard' err || fail "--shard $bad is not refused"
  done
  "$kvmux" compare --jobs 2 > /dev/null 2> err
  [ $? -eq 2 ] && grep -q -- '--jobs' err || fail '--jobs 2 with real guests is not refused'
}

# Ten thousand cells: planned, run in part, extrapolated.
large=(sim sweep --guest "$(seq -s, -f 'compute,think=%gus' 20 2519)" --ratio 1,2,3,4 --workers 2 --vcpus 2
       --policies yield,v2 --repeat 2 --seconds 0.01 --warmup 0)
ten_thousand() {
  "$kvmux" "${large[@]}" --plan > plan.txt 2> err || fail "--plan: exit $?"
  grep -q '^10000 cells, 40000 runs' plan.txt || fail "--plan: $(head -n 1 plan.txt)"
  timeout 200 "$kvmux" "${large[@]}" --max-time 2s --jobs 2 --out large.jsonl > /dev/null 2> err || fail "in part: exit $?"
  grep -Eq 'of 40,000 runs are done; the other .* take about' err || fail 'in part: nothing is extrapolated'
  tail -n 1 err
}

# A recipe of the page: the lines of its n-th code block that starts with this comment.
recipe() { awk -v head="# recipe: $1" '$0 == head { on = 1; next } /^```/ { on = 0 } on' "$page"; }
run_recipe() {  # name, tools that it needs
  local name=$1 tool
  shift
  for tool in "$@"; do
    command -v "$tool" > /dev/null || { echo "SKIP recipe '$name': $tool is not installed"; return; }
  done
  recipe "$name" > recipe.sh
  [ -s recipe.sh ] || { fail "the page has no recipe '$name'"; return; }
  rm -rf work && mkdir work
  printf '#!/bin/bash\nexec %q "$@"\n' "$kvmux" > work/kvmux && chmod +x work/kvmux
  (cd work && PATH=$PWD:$PATH timeout 120 bash -eu ../recipe.sh > ../recipe.out 2> ../err) || fail "recipe '$name': exit $?"
  [ -s work/all.jsonl ] || { fail "recipe '$name': no all.jsonl"; return; }
  print work/all.jsonl | cmp - recipe.table || fail "recipe '$name' prints another table"
  echo "ran recipe '$name'"
}

recipes() {
  "$kvmux" sim compare --guest lock,ipi --vms 2,3 --vcpus 4 --policies yield,kvmux --repeat 3 --seconds 0.05 --out r.jsonl > /dev/null 2> err
  print r.jsonl > recipe.table
  run_recipe 'loop'
  run_recipe 'GNU parallel' parallel
  if command -v sbatch > /dev/null && ! sinfo > /dev/null 2>&1; then
    echo "SKIP recipe 'Slurm': no slurmctld answers"
  else
    run_recipe 'Slurm' sbatch
  fi
}

sixteen_shards
more_shards_than_cells
jobs
killed_and_failed
refusals
ten_thousand
recipes
[ $failed -eq 0 ] && echo 'all held'
exit $((failed != 0))
