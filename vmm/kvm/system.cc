#include "vmm/kvm/system.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "vmm/kvm/ioctl_numbers.h"

namespace vmm {

namespace {

constexpr int kApiVersion = 12;  // has not changed since Linux 2.6.22; the KVM API says to refuse all others

std::string advice(int errno_value) {
  switch (errno_value) {
    case ENOENT:
      return "KVM is not there: load its module (modprobe kvm_intel or kvm_amd), switch virtualization on in "
             "the "
             "firmware, or, inside a virtual machine or container, have its host pass /dev/kvm on";
    case EACCES:
    case EPERM:
      return "no permission: join the device's group (sudo usermod -aG kvm $USER, then log in again)";
    case ENXIO:
    case ENODEV:
      return "the device node is there, but no KVM driver answers: load its module (modprobe kvm_intel or "
             "kvm_amd)";
    default:
      return {};
  }
}

Result<std::vector<kvm_cpuid_entry2>> read_supported_cpuid(int kvm) {
  constexpr uint32_t kMostEntries = 4096;
  for (uint32_t room = 128; room <= kMostEntries; room *= 2) {
    std::vector<std::byte> buffer(sizeof(CpuidHead) + room * sizeof(kvm_cpuid_entry2));
    CpuidHead head{room, 0};
    std::memcpy(buffer.data(), &head, sizeof(head));
    if (::ioctl(kvm, kKvmGetSupportedCpuid, buffer.data()) == 0) {
      std::memcpy(&head, buffer.data(), sizeof(head));
      std::vector<kvm_cpuid_entry2> entries(std::min(head.entry_count, room));
      std::memcpy(entries.data(), buffer.data() + sizeof(head), entries.size() * sizeof(kvm_cpuid_entry2));
      return entries;
    }
    if (errno != E2BIG) break;
  }
  return host_error("KVM_GET_SUPPORTED_CPUID", errno);
}

}  // namespace

Result<System> System::open(const char* path) {
  System system;
  system.fd_ = UniqueFd(::open(path, O_RDWR | O_CLOEXEC));
  if (!system.fd_) return host_error(fmt::format("open {}", path), errno, advice(errno));
  const int kvm = system.fd_.get();
  const int version = ::ioctl(kvm, KVM_GET_API_VERSION, 0);
  if (version < 0) return host_error("KVM_GET_API_VERSION", errno, fmt::format("{} is not KVM", path));
  if (version != kApiVersion) {
    return host_error("KVM_GET_API_VERSION", 0,
                      fmt::format("got {}, kvmux knows {} only", version, kApiVersion));
  }
  const int bytes = ::ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  if (bytes < 0) return host_error("KVM_GET_VCPU_MMAP_SIZE", errno);
  if (static_cast<size_t>(bytes) < sizeof(kvm_run)) {
    return host_error("KVM_GET_VCPU_MMAP_SIZE", 0, fmt::format("{} bytes have no room for kvm_run", bytes));
  }
  system.run_area_bytes_ = static_cast<size_t>(bytes);
  system.capabilities_ =
      Capabilities::read([&](int number) { return ::ioctl(kvm, KVM_CHECK_EXTENSION, number); });
  auto cpuid = read_supported_cpuid(kvm);
  if (!cpuid) return Failure(cpuid.error());
  system.cpuid_ = std::move(*cpuid);
  return system;
}

}  // namespace vmm
