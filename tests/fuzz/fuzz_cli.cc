// The command line: words separated by newlines, parsed and interpreted, nothing run and no file read.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "vmm/check.h"
#include "vmm/cli/boot_options.h"
#include "vmm/cli/cli.h"
#include "vmm/cli/empty_values.h"
#include "vmm/cli/spec.h"

namespace {

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (c == '\n') {
      words.emplace_back();
    } else if (c != '\0') {  // argv has none
      words.back() += c;
    }
  }
  return words;
}

template <class T>
void check(const vmm::Result<T>& result) {
  KVMUX_CHECK(result || result.error().kind == vmm::ErrorKind::kUsage, "bad flags are the user's to fix");
}

// False: not accepted.
bool parse(CLI::App& app, const std::vector<std::string>& words) {
  auto separated = vmm::separate_empty_values(app, words);
  if (!separated) return false;
  std::reverse(separated->begin(), separated->end());
  try {
    app.parse(std::move(*separated));
  } catch (const CLI::Error&) {
    return false;
  }
  return vmm::check_empty_values(app).has_value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto words = words_of({reinterpret_cast<const char*>(data), size});
  CLI::App program{"", "kvmux"};
  std::string sandbox = "on";
  const auto commands = vmm::add_commands(program, sandbox);
  parse(program, words);

  CLI::App run{"", "run"};
  vmm::RunFlags flags;
  vmm::add_run_flags(run, flags, vmm::FlagSet::kGrid);
  if (parse(run, words)) {
    const auto request = vmm::interpret(flags, vmm::Nanos{1'000'000'000}, {{0, 1}});
    check(request);
  }

  CLI::App boot{"", "boot"};
  vmm::BootOptions options;
  vmm::add_boot_flags(boot, options);
  if (parse(boot, words)) {
    const auto setup = vmm::read_boot_options(options, {{0, 1}});
    check(setup);
    KVMUX_CHECK(!setup || setup->spec.memory_bytes % (uint64_t{2} << 20) == 0, "memory comes in huge pages");
  }
  return 0;
}
