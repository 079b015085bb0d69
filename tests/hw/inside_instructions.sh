# Runs in an emulated host whose clock counts instructions (tests/hw/instructions.sh), instead of the suites.
one_command bench 'run loop' "$build/bench_run_loop" 'exits|switches'
sed 's/^/hw|log|bench /' /tmp/out
