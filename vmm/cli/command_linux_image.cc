// `kvmux linux-image`: a kernel and a RAM disk for Linux guests, of Debian packages and the agent, without
// root.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <ostream>

#include "vmm/cli/command.h"
#include "vmm/cli/table.h"
#include "vmm/linux/make_image.h"
#include "vmm/linux/packages.h"

namespace vmm {
namespace {

using linux_guest::ImageRequest;
using linux_guest::LoadKind;

struct Flags {
  std::string loads, output, suite, compress = "none";
  std::string kernel = "debian";
  bool offline = false;
  bool list = false;
};

std::string list_text() {
  Table table({"<load", "<argument", "<an operation is"});
  for (const LoadKind& kind : linux_guest::load_kinds()) {
    table.add({std::string{kind.name}, std::string{kind.argument}, std::string{kind.operation}});
  }
  return table.text();
}

// A suite becomes part of paths and of a line for apt.
bool is_suite(const std::string& text) {
  return !text.empty() && text.front() != '-' && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

Result<ImageRequest> request_of(const Flags& flags) {
  constexpr std::array<std::string_view, 2> kCompress{"none", "gzip"};
  const auto compress = parse_word("--compress", flags.compress, kCompress);
  if (!compress) return Failure(compress.error());
  ImageRequest request;
  request.kernel = flags.kernel;
  request.suite = flags.suite.empty() ? linux_guest::default_suite() : flags.suite;
  request.output = flags.output;
  request.gzip = *compress == 1;
  request.offline = flags.offline;
  if (!is_suite(request.suite))
    return bad_value("--suite", request.suite, "the name of a suite of Debian, like trixie");
  if (flags.loads.empty()) {
    request.loads = linux_guest::usual_loads();
    return request;
  }
  const auto loads = linux_guest::parse_loads("--load", flags.loads);
  if (!loads) return Failure(loads.error());
  for (const linux_guest::Load& load : *loads) {
    if (std::ranges::find(request.loads, load.kind) == request.loads.end())
      request.loads.push_back(load.kind);
  }
  return request;
}

Result<int> execute(const Flags& flags, Services& services) {
  if (flags.list) {
    services.out << list_text();
    return kExitOk;
  }
  const auto request = request_of(flags);
  if (!request) return Failure(request.error());
  const auto say = [&](std::string_view line) { services.err << "kvmux: " << line << std::endl; };
  const auto image = linux_guest::make_image(*request, say);
  if (!image) return Failure(image.error());
  std::error_code error;
  const auto mib = [&](const std::string& path) {
    return static_cast<double>(std::filesystem::file_size(path, error)) / (1 << 20);
  };
  services.out << fmt::format("kernel    {} ({:.1f} MiB)\nRAM disk  {} ({:.1f} MiB)\nversions  {}\n",
                              image->kernel, mib(image->kernel), image->initrd, mib(image->initrd),
                              image->versions);
  return kExitOk;
}

}  // namespace

Command add_linux_image(CLI::App& parent) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* app = parent.add_subcommand(
      "linux-image", "make a kernel and a RAM disk for Linux guests of Debian packages, without root");
  app->add_option("--load", flags->loads,
                  "loads that it can run (default: all but vips, which needs many libraries, and compile)")
      ->type_name("LOAD,LOAD,...");
  app->add_option("--output", flags->output,
                  "the RAM disk; FILE.vmlinuz and FILE.versions beside it (default: files in the cache)")
      ->type_name("FILE");
  app->add_option("--kernel", flags->kernel,
                  "Debian's for virtual machines, the newest of /boot, or a bzImage")
      ->type_name("debian|boot|FILE")
      ->default_str(flags->kernel);
  app->add_option("--suite", flags->suite,
                  "of Debian, for packages and kernel (default: this machine's, else trixie)")
      ->type_name("SUITE");
  app->add_option("--compress", flags->compress, "the RAM disk; a guest boots faster without")
      ->type_name("none|gzip")
      ->default_str(flags->compress);
  app->add_flag("--offline", flags->offline, "use packages of the cache only");
  app->add_flag("--list", flags->list, "show the loads and what their operations are, and exit");
  return {app, [flags](Services& services) { return execute(*flags, services); }};
}

}  // namespace vmm
