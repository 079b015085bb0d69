#include "vmm/sandbox/sandbox.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <mutex>
#include <utility>

#include "vmm/run/cpu_choice.h"
#include "vmm/run/cpu_supply.h"
#include "vmm/sandbox/filter.h"
#include "vmm/sandbox/violation.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KVMUX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define KVMUX_SANITIZED 1
#endif
#endif

namespace vmm::sandbox {
namespace {

#ifdef KVMUX_SANITIZED
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

std::atomic<bool> switched_off{false};
std::atomic<bool> confined{false};

// Kept: a thread's start should not wait for libseccomp. By process, because filters name theirs.
Result<const Program*> filter_of(ThreadKind kind) {
  static std::mutex mutex;
  static std::map<std::pair<pid_t, ThreadKind>, Program> known;
  const std::lock_guard lock(mutex);
  const std::pair key(::getpid(), kind);
  if (const auto found = known.find(key); found != known.end()) return &found->second;
  auto program = build_filter(kind);
  if (!program) return Failure(program.error());
  return &known.emplace(key, std::move(*program)).first->second;
}

Result<void> put_on(ThreadKind kind) {
  if (auto ready = report_violations(); !ready) return ready;
  const auto program = filter_of(kind);
  if (!program) return Failure(program.error());
  remember_kind(kind);
  return install(**program);
}

}  // namespace

void switch_off() { switched_off.store(true); }

State state() {
  const int landlock = landlock_abi();
  if (switched_off.load()) return {"--sandbox off", landlock};
  if (kSanitized) return {"a build with sanitizers, which need more than the filters allow", landlock};
  static const bool there = kernel_has_seccomp();
  if (!there) return {"this kernel, or the container around kvmux, has no seccomp filters", landlock};
  return {"", landlock};
}

bool is_on() {
  static const bool possible = !kSanitized && kernel_has_seccomp();
  return possible && !switched_off.load();
}

Result<void> confine_process(Files files) {
  if (!is_on()) return {};
  // All filters now: later it takes calls that main has given up.
  for (const ThreadKind kind : kThreadKinds) {
    if (auto built = filter_of(kind); !built) return Failure(built.error());
  }
  files.read.emplace_back("/proc");
  // Each run chooses its CPUs, and all have to come to the same choice.
  for (const char* path : kTopologyFolders) files.read.emplace_back(path);
  files.read.emplace_back(kCgroupFolder);
  files.write.emplace_back("/dev/kvm");
  if (auto done = restrict_files(files); !done) return done;
  if (auto done = put_on(ThreadKind::kMain); !done) return done;
  confined.store(true);
  return {};
}

bool is_confined() { return confined.load(); }

Result<void> enter_sandbox(ThreadKind kind) {
  if (!is_on()) return {};
  if (auto done = restrict_files({}); !done) return done;
  return put_on(kind);
}

}  // namespace vmm::sandbox
