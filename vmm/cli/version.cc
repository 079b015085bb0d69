#include "vmm/cli/version.h"

#include <Zydis/Zydis.h>
#include <fmt/format.h>
#include <liburing.h>
#include <seccomp.h>
#include <spdlog/version.h>
#include <zlib.h>

#include <CLI/Version.hpp>
#include <nlohmann/json.hpp>

#include "vmm/cli/host.h"

#ifdef __clang__
#define KVMUX_COMPILER "clang " __clang_version__
#else
#define KVMUX_COMPILER "GCC " __VERSION__
#endif

namespace vmm {
namespace {

// Libraries that are loaded may be newer than those that were compiled against: what runs is what is said,
// where it can be asked.
std::string uring_version() {
#ifdef IO_URING_VERSION_MAJOR
  return fmt::format("{}.{}", io_uring_major_version(), io_uring_minor_version());
#else
  return KVMUX_URING_VERSION;  // of the headers, by pkg-config: before 2.4 the library does not tell
#endif
}

std::string seccomp_text() {
  const scmp_version* version = seccomp_version();
  if (version == nullptr) return "unknown";
  return fmt::format("{}.{}.{}", version->major, version->minor, version->micro);
}

std::string zydis_version() {
  const ZyanU64 version = ZydisGetVersion();
  return fmt::format("{}.{}.{}", ZYDIS_VERSION_MAJOR(version), ZYDIS_VERSION_MINOR(version),
                     ZYDIS_VERSION_PATCH(version));
}

}  // namespace

std::string version_text(std::string_view commit) {
  std::string text = fmt::format("kvmux {}\n", kVersion);
  const auto add = [&text](std::string_view what, std::string_view value) {
    text += fmt::format("{:10} {}\n", what, value);
  };
  add("commit", commit.empty() ? "unknown: not built in a git repository of its own" : commit);
  add("compiler", KVMUX_COMPILER);
  add("liburing", uring_version());
  add("libseccomp", seccomp_text());
  add("Zydis", zydis_version());
  add("zlib", zlibVersion());
  add("CLI11", CLI11_VERSION);
  add("fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100));
  add("spdlog", fmt::format("{}.{}.{}", SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH));
  add("JSON", fmt::format("nlohmann {}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                          NLOHMANN_JSON_VERSION_PATCH));
  return text;
}

}  // namespace vmm
