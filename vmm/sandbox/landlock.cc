#include "vmm/sandbox/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "vmm/kvm/fd.h"

// Newer than some headers that kvmux is built with.
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

namespace vmm::sandbox {
namespace {

constexpr uint64_t kReading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kWriting =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;
constexpr uint64_t kCreating = kWriting | LANDLOCK_ACCESS_FS_MAKE_REG;
constexpr uint64_t kOfFiles = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |
                              LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;

// All rights that this version of Landlock knows of: each is refused but where a rule grants it. That of
// ioctls on devices (version 5) stays out: KVM's are the seccomp filters' matter.
uint64_t handled(int abi) {
  uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
  if (abi >= 2) rights |= LANDLOCK_ACCESS_FS_REFER;
  if (abi >= 3) rights |= LANDLOCK_ACCESS_FS_TRUNCATE;
  return rights;
}

Result<void> grant(int ruleset, const std::string& path, uint64_t rights) {
  const UniqueFd target(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!target) return {};  // not there: nothing to open
  struct stat info {};
  if (::fstat(target.get(), &info) != 0) return host_error("fstat " + path, errno);
  landlock_path_beneath_attr rule{};
  rule.parent_fd = target.get();
  rule.allowed_access = S_ISDIR(info.st_mode) ? rights : rights & kOfFiles;
  if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0) return {};
  return host_error("landlock_add_rule " + path, errno);
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<void> grant_all(int ruleset, const Files& files, uint64_t known) {
  for (const std::string& path : files.read) {
    if (auto done = grant(ruleset, path, kReading & known); !done) return done;
  }
  for (const std::string& path : files.write) {
    const bool there = ::access(path.c_str(), F_OK) == 0;
    if (auto done = grant(ruleset, there ? path : folder_of(path), kCreating & known); !done) return done;
  }
  return {};
}

}  // namespace

int landlock_abi() {
  const long abi =
      ::syscall(SYS_landlock_create_ruleset, nullptr, size_t{0}, LANDLOCK_CREATE_RULESET_VERSION);
  return static_cast<int>(std::max(0L, abi));
}

Result<void> restrict_files(const Files& files) {
  const int abi = landlock_abi();
  if (abi == 0) return {};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return host_error("prctl PR_SET_NO_NEW_PRIVS", errno);
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = handled(abi);
  const UniqueFd ruleset(static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes.handled_access_fs), 0)));
  if (!ruleset) return host_error("landlock_create_ruleset", errno);
  if (auto granted = grant_all(ruleset.get(), files, attributes.handled_access_fs); !granted) return granted;
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) == 0) return {};
  return host_error("landlock_restrict_self", errno);
}

}  // namespace vmm::sandbox
