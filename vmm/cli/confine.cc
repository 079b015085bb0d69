// --sandbox, and what commands tell the sandbox about their files.
#include "vmm/cli/command.h"
#include "vmm/cli/guests.h"

namespace vmm {

Result<void> confine(Services& services, std::vector<std::string> reads,
                     const std::vector<std::string>& outputs) {
  if (!services.sandbox.confine) return {};
  sandbox::Files files{std::move(reads), {}};
  for (const std::string& output : outputs) {
    if (!output.empty() && output != "-") files.write.push_back(output);
  }
  return services.sandbox.confine(std::move(files));
}

std::vector<std::string> files_read_by(const RunSpec& spec) {
  std::vector<std::string> files;
  for (const VmSpec& vm : spec.vms) {
    if (vm.linux_guest) {
      files.push_back(vm.linux_guest->kernel);
      for (const std::string& file : {vm.linux_guest->initrd, vm.linux_guest->symbols}) {
        if (!file.empty()) files.push_back(file);
      }
    } else if (find_guest(vm.guest) == nullptr) {
      files.push_back(vm.guest);
    }
  }
  if (!spec.cost_profile.empty()) files.push_back(spec.cost_profile);
  return files;
}

}  // namespace vmm
