#include <ostream>

#include "vmm/cli/command.h"
#include "vmm/output/standard.h"

namespace vmm {

// What the standard output loses is said when the program ends (finish_standard_output()).
Result<void> write_output(std::string_view flag, const std::string& path, const std::string& text,
                          std::ostream& standard_output) {
  if (path != "-") return write_file(std::string{flag} + " " + path, path, text);
  standard_output << text << std::flush;
  return {};
}

}  // namespace vmm
