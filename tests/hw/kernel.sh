# Sourced by run.sh: Debian's kernels as files, for any user and without installing them.
#
# fetch_kernel VERSION: sets $kernel_dir, a folder with `vmlinuz` and `modules/*.ko`, kept in the cache. Returns 1 and
# sets $kernel_trouble if it cannot be had. VERSION is 6.1, 6.12, 7.3 or the beginning of any other version in the suites.

readonly hw_cache=${XDG_CACHE_HOME:-$HOME/.cache}/kvmux/hw
readonly debian_suites=(bookworm bookworm-backports trixie trixie-backports)
readonly kvm_modules=(irqbypass kvm ccp kvm-amd kvm-intel)

# What the results in docs/hardware.md were made with. Where Debian has dropped it, the newest of that version is taken.
pinned_packages() {
  case $1 in
    6.1) echo linux-image-6.1.0-50-amd64-unsigned ;;
    6.12) echo linux-image-6.12.95+deb12-amd64-unsigned ;;
    7.3) echo linux-binary-7.3.4+deb13-amd64 linux-modules-7.3.4+deb13-amd64 ;;
  esac
}

# Package lists apart from the machine's own: other suites, and no root.
prepare_apt() {
  local dir=$hw_cache/apt suite mirror keys=/usr/share/keyrings/debian-archive-keyring.gpg
  apt_options=(-o "Dir::Etc::sourcelist=$dir/sources" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$dir/lists"
               -o "Dir::Cache=$dir/cache" -o APT::Sandbox::User=)
  command -v apt-get >/dev/null || { kernel_trouble="this system has no apt-get"; return 1; }
  [[ -r $keys ]] || { kernel_trouble="$keys is missing (package debian-archive-keyring)"; return 1; }
  mirror=$(grep -hoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    grep -v snapshot | head -n 1 || true)
  mkdir -p "$dir"/lists/partial "$dir"/cache/archives/partial
  for suite in "${debian_suites[@]}"; do
    echo "deb [signed-by=$keys] ${mirror:-http://deb.debian.org/debian} $suite main"
  done >"$dir/sources.new"
  cmp -s "$dir/sources.new" "$dir/sources" || rm -f "$dir/fresh"
  mv "$dir/sources.new" "$dir/sources"
  # A day old is good enough.
  [[ -n $(find "$dir/fresh" -mtime -1 2>/dev/null) ]] && return 0
  apt-get "${apt_options[@]}" update -qq >"$dir/log" 2>&1 || { kernel_trouble="apt-get update: $(tail -n 1 "$dir/log")"; return 1; }
  touch "$dir/fresh"
}

newest_package() { apt-cache "${apt_options[@]}" search --names-only "^$1\$" | cut -d' ' -f1 | sort -V | tail -n 1; }

# Debian splits the image into binary and modules since 7.2.
newest_packages() {
  local v=${1//./\\.} found
  found=$(newest_package "linux-binary-$v[.][0-9.]*[+]deb[0-9]*-amd64")
  [[ -n $found ]] && { echo "$found ${found/binary/modules}"; return; }
  found=$(newest_package "linux-image-$v[.][0-9.]*(-[0-9]+|[+]deb[0-9.]*)-amd64-unsigned")
  [[ -n $found ]] || found=$(newest_package "linux-image-$v[.][0-9.]*(-[0-9]+|[+]deb[0-9.]*)-amd64")
  echo "$found"
}

unpack_module() {  # FILE NAME FOLDER
  case $1 in
    '') ;;
    *.xz) xz -dc "$1" >"$3/$2.ko" ;;
    *.zst) zstd -qdc "$1" >"$3/$2.ko" ;;
    *) cp "$1" "$3/$2.ko" ;;
  esac
}

unpack_kernel() {  # ROOT FOLDER
  local module image
  mkdir -p "$2/modules"
  for module in "${kvm_modules[@]}"; do
    unpack_module "$(find "$1" -name "$module.ko*" | sort | head -n 1)" "$module" "$2/modules" || return 1
  done
  image=$(find "$1" -name 'vmlinuz*' -type f | sort | head -n 1)
  [[ -n $image && -e $2/modules/kvm.ko ]] && cp "$image" "$2/vmlinuz"
}

fetch_kernel() {
  local version=$1 work packages
  kernel_dir=$hw_cache/kernel-$version
  [[ -e $kernel_dir/vmlinuz ]] && return 0
  prepare_apt || return 1
  mkdir -p "$hw_cache"
  work=$(mktemp -d "$hw_cache/fetch-XXXXXX")
  packages=$(pinned_packages "$version")
  # shellcheck disable=SC2086  # a list
  if [[ -z $packages ]] || ! (cd "$work" && apt-get "${apt_options[@]}" download -qq $packages) 2>"$work/log"; then
    packages=$(newest_packages "$version")
    # shellcheck disable=SC2086
    if [[ -z $packages ]] || ! (cd "$work" && apt-get "${apt_options[@]}" download -qq $packages) 2>"$work/log"; then
      kernel_trouble="no package of Linux $version from Debian: ${packages:-none found} $(tail -n 1 "$work/log" 2>/dev/null)"
      rm -rf "$work"
      return 1
    fi
  fi
  local deb
  for deb in "$work"/*.deb; do dpkg -x "$deb" "$work/tree"; done
  if ! unpack_kernel "$work/tree" "$work/kernel"; then
    kernel_trouble="$packages hold no kernel with KVM, or cannot be unpacked"
    rm -rf "$work"
    return 1
  fi
  echo "$packages" >"$work/kernel/packages"
  rm -rf "$kernel_dir"
  mv "$work/kernel" "$kernel_dir"
  rm -rf "$work"
}
