#include <cerrno>
#include <fstream>
#include <ostream>

#include "vmm/cli/command.h"

namespace vmm {

Result<void> write_output(std::string_view flag, const std::string& path, const std::string& text,
                          std::ostream& standard_output) {
  if (path == "-") {
    standard_output << text << std::flush;
    return {};
  }
  std::ofstream file{path, std::ios::binary};
  file << text << std::flush;
  if (!file) return host_error(std::string{flag} + " " + path, errno, "cannot write the file");
  return {};
}

}  // namespace vmm
