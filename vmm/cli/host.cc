#include "vmm/cli/host.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>

#include "vmm/cli/spec.h"

namespace vmm {
namespace {

std::string cpu_model() {
  std::ifstream info{"/proc/cpuinfo"};
  std::string line;
  while (std::getline(info, line)) {
    if (!line.starts_with("model name")) continue;
    const size_t value = line.find(": ");
    return value == std::string::npos ? line : line.substr(value + 2);
  }
  return "unknown";
}

}  // namespace

HostDescription describe_host() {
  HostDescription host;
  utsname name{};
  if (uname(&name) == 0) host.kernel = std::string{name.sysname} + " " + name.release;
  host.cpu_model = cpu_model();
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  host.cpus = online > 0 ? static_cast<uint32_t>(online) : 0;
  host.cpus_allowed = static_cast<uint32_t>(host_limits().cpus.size());
  return host;
}

}  // namespace vmm
