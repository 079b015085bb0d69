// The looking half of host_facts.h.
#include "vmm/host_facts.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/io_uring.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "vmm/kvm/fd.h"
#include "vmm/run/os_thread.h"

namespace vmm {
namespace {

constexpr const char* kDevice = "/dev/kvm";

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

void read_cpu(HostFacts& facts) {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line) && !line.empty();) {  // the first CPU's paragraph
    facts.is_amd = facts.is_amd || line.find("AuthenticAMD") != std::string::npos ||
                   line.find("HygonGenuine") != std::string::npos;
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      facts.has_virtualization = facts.has_virtualization || word == "vmx" || word == "svm";
      facts.in_hypervisor = facts.in_hypervisor || word == "hypervisor";
    }
  }
}

void read_system(HostFacts& facts) {
  facts.is_root = ::geteuid() == 0;
  facts.in_container =
      exists("/.dockerenv") || exists("/run/.containerenv") || ::getenv("container") != nullptr;
  std::ifstream release("/etc/os-release");
  for (std::string line; std::getline(release, line);) {
    if (line.starts_with("ID=")) facts.os = line.substr(3);
  }
  utsname name{};
  if (::uname(&name) == 0) facts.kernel = name.release;
  facts.cpus_online = std::max(1, static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)));
  facts.cpus_allowed = static_cast<int>(allowed_cpus().size());
}

// As a file, packed or not, or built in.
void read_module(HostFacts& facts) {
  facts.module_loaded = exists("/sys/module/kvm_amd") || exists("/sys/module/kvm_intel");
  const std::string folder = "/lib/modules/" + facts.kernel;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder + "/kernel/arch/x86/kvm", error)) {
    const std::string name = entry.path().filename().string();
    facts.module_there = facts.module_there || name.starts_with(facts.is_amd ? "kvm-amd.ko" : "kvm-intel.ko");
  }
  std::ifstream builtin(folder + "/modules.builtin");
  for (std::string line; std::getline(builtin, line);) {
    facts.module_there = facts.module_there || line.ends_with(facts.is_amd ? "/kvm-amd.ko" : "/kvm-intel.ko");
  }
}

// What the user database says; what this session has may be older.
bool is_listed(const group& entry, gid_t id) {
  const passwd* user = ::getpwuid(::getuid());
  if (user == nullptr) return false;
  if (user->pw_gid == id) return true;
  for (char** member = entry.gr_mem; *member != nullptr; ++member) {
    if (std::string_view{*member} == user->pw_name) return true;
  }
  return false;
}

bool session_has(gid_t id) {
  if (::getegid() == id) return true;
  const int count = ::getgroups(0, nullptr);
  if (count <= 0) return false;
  std::vector<gid_t> groups(static_cast<size_t>(count));
  return ::getgroups(count, groups.data()) == count &&
         std::find(groups.begin(), groups.end(), id) != groups.end();
}

void read_node(HostFacts& facts) {
  const UniqueFd device(::open(kDevice, O_RDWR | O_CLOEXEC));
  facts.kvm_error = device ? 0 : errno;
  facts.kvm_group_exists = ::getgrnam("kvm") != nullptr;
  struct stat node {};
  facts.has_node = ::stat(kDevice, &node) == 0;
  if (!facts.has_node) return;
  constexpr mode_t kBoth = S_IRGRP | S_IWGRP;
  facts.group_may = (node.st_mode & kBoth) == kBoth;
  const group* entry = ::getgrgid(node.st_gid);
  facts.node_group = entry == nullptr ? std::to_string(node.st_gid) : entry->gr_name;
  facts.in_group = session_has(node.st_gid);
  facts.listed_in_group = facts.in_group || (entry != nullptr && is_listed(*entry, node.st_gid));
}

void read_ring(HostFacts& facts) {
  io_uring_params params{};
  const UniqueFd ring(static_cast<int>(::syscall(SYS_io_uring_setup, 2, &params)));
  facts.ring_error = ring ? 0 : errno;
  int disabled = 0;
  if (std::ifstream("/proc/sys/kernel/io_uring_disabled") >> disabled) facts.ring_switch = disabled;
}

}  // namespace

HostFacts read_host_facts() {
  HostFacts facts;
  read_cpu(facts);
  read_system(facts);
  read_module(facts);
  read_node(facts);
  read_ring(facts);
  return facts;
}

}  // namespace vmm
