#!/usr/bin/env bash
# Machines on which two builds of the scheduler must decide alike: a rearrangement changes no result.
#   configurations.sh list                  one configuration a line, as arguments of `kvmux sim`
#   configurations.sh digest KVMUX          name and digest of what each gives, in the order of the list
#   configurations.sh compare OLD NEW       those that differ between two builds; status 1 if any does
#   configurations.sh check KVMUX           those that differ from configurations.txt, which is kept beside this; likewise
#   configurations.sh renew KVMUX           writes configurations.txt: say in the commit what decides otherwise, and why
# A digest is taken of the JSON without what names the build, the command, the host, and features and constants by name: a
# new one that changes no decision changes no digest. STRIDE=N takes every N-th.
set -euo pipefail

list() {
  local guest size policy
  # Every preset on every guest, on the sizes at which policies part.
  for policy in rr fair yield hier deboost ipi v2 v3 kvmux gang host host-yield; do
    for guest in 'lock,lock=ttas' 'lock,lock=ticket' ipi 'ipi,fanout=all' mixed pingpong compute; do
      for size in '2 2 4' '2 3 3'; do
        read -r workers vms vcpus <<<"$size"
        echo "run --guest $guest --workers $workers --vms $vms --vcpus $vcpus --policy $policy --seconds 0.1"
      done
    done
  done
  # Other hosts and numbers of workers.
  for policy in fair yield v2 v3 kvmux; do
    for guest in 'lock,lock=ticket' ipi mixed; do
      echo "run --guest $guest --workers 4 --vms 3 --vcpus 8 --policy $policy --seconds 0.05 --cost-profile kvm-pvm"
      echo "run --guest $guest --workers 1 --vms 2 --vcpus 3 --policy $policy --seconds 0.1 --seed 7"
    done
    echo "run --guest mixed --workers 16 --vms 13 --vcpus 4 --policy $policy --seconds 0.05"
    # Weights, groups, mixtures, and policies that differ between the VMs of a run.
    echo "run --guest mixed --workers 2 --vms 3 --vcpus 2 --weight 512,1024,3072 --policy $policy --seconds 0.1"
    echo "run --workers 2 --group a:weight=3072 --group b:weight=1024 --vm guest=lock,vcpus=3,group=a,policy=$policy" \
      "--vm guest=ipi,vcpus=3,group=b,policy=$policy --seconds 0.1"
    echo "run --workers 3 --vm guest=ipi,vcpus=4,policy=$policy,weight=2048 --vm guest=compute,vcpus=2,policy=fair" \
      "--vm guest=lock,vcpus=4,policy=yield --seconds 0.1"
  done
  # One feature of each preset the other way.
  for policy in 'kvmux,whole=off' 'kvmux,pack=off' 'kvmux,pull=off' 'kvmux,resume=off' 'kvmux,eager=off' \
    'kvmux,loan=off' 'kvmux,hint=off' 'kvmux,patience=1' 'kvmux,relaxed=off' 'kvmux,chain-depth=0' \
    'kvmux,forfeit=off' 'v2,deboost=off' 'v2,relaxed=off' 'v2,ipi-window=1ms' 'v2,penalty-interval=0' \
    'v3,credit=off' 'v3,penalty-interval=0' 'yield,hier=on' 'yield,candidates=kvmux' 'fair,slice=1ms'; do
    for guest in 'lock,lock=ticket' 'ipi,fanout=all'; do
      echo "run --guest $guest --workers 2 --vms 2 --vcpus 4 --policy $policy --seconds 0.1"
    done
  done
}

every() { awk -v stride="${STRIDE:-1}" 'NR % stride == 0 || stride == 1'; }
chosen() { list | every; }
kept=$(dirname "$0")/configurations.txt

digest() {
  local line
  chosen | while read -r line; do
    # shellcheck disable=SC2086  # a line is a list of arguments
    printf '%s  %s\n' "$("$1" sim $line --json - 2>/dev/null | without_names | sha256sum | cut -c1-16)" "$line"
  done
}

# Fields that tell builds apart, not decisions. Other renamed keys: RENAMED, a sed script that makes the new the old.
without_names() {
  sed -E -e "${RENAMED:-}" -e '/"(command|host|features|tuning)": [[{]/,/^ *[]}],?$/d' \
    -e '/"(kvmux_version|version|command|commit|libraries)":/d'
}

case "${1-}" in
  list) chosen ;;
  digest) digest "$2" ;;
  compare)
    if difference=$(diff <(digest "$2") <(digest "$3")); then
      echo "$(chosen | wc -l) configurations: the same"
    else
      grep '^[<>]' <<<"$difference"
      exit 1
    fi
    ;;
  check)
    if difference=$(diff <(every <"$kept") <(digest "$2")); then
      echo "$(chosen | wc -l) configurations: as kept"
    else
      echo "These decide otherwise (< as kept, > now). If that is meant: $0 renew KVMUX"
      grep '^[<>]' <<<"$difference"
      exit 1
    fi
    ;;
  renew) STRIDE=1 digest "$2" >"$kept" ;;
  *) sed -n '2,8s/^# //p' "$0"; exit 2 ;;
esac
