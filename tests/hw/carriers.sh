# What carriers are worth in an emulated host, sourced there: ./run.sh test-hw --kernels 6.1 --cpus 2 --script tests/hw/carriers.sh
# Runs under kvmux with carriers, with vCPUs that stay where they begin, and with vCPUs that move all the same, in turns.
kvmux=$build/kvmux
log() { sed 's/^/hw|log|/'; }
timeout 200 "$kvmux" doctor </dev/null 2>&1 | grep -E 'kernel|carrier|another' | log
throughput() { # WORDS…
  timeout 100 "$kvmux" run --policy kvmux --workers 2 --seconds 1 --json - "$@" </dev/null 2>/tmp/err | tr -d ' \n' |
    sed -n 's/.*"metrics":{[^}]*"throughput":\([0-9.]*\).*/\1/p'
}
timeout 100 "$kvmux" run --guest lock --vms 1 --vcpus 2 --seconds 0.1 </dev/null 2>&1 | grep '^Moves' | log
for turn in 1 2 3; do
  while read -r words; do
    # shellcheck disable=SC2086  # flags
    echo "turn $turn, $words: carriers $(throughput $words --carriers on), stay $(throughput $words --carriers off)," \
      "move $(throughput $words --carriers off --migration-cost 20us) operations a second" | log
  done <<'L'
--guest ipi --senders 1 --vms 2 --vcpus 8
--guest lock --vms 1 --vcpus 8
--guest mixed --vms 3 --vcpus 4
--guest pingpong --vms 2 --vcpus 2
L
done
