// Every kind of thread tries to break out, each time in a process of its own: each try ends the process with
// status 3 and a line that names thread, kind and system call; what a thread needs it still has.
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <fstream>
#include <thread>

#include "tests/sandbox/broken_out.h"
#include "vmm/kvm/mapping.h"
#include "vmm/sandbox/policy.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/sandbox/violation.h"

using namespace vmm;
using namespace vmm::sandbox;
using sandbox_test::Ending;
using sandbox_test::in_child;
using sandbox_test::kStillFree;

namespace {

#define REQUIRE_SANDBOX                                 \
  if (const auto now = state(); !now.why_off.empty()) { \
    MESSAGE("skipped, no sandbox: " << now.why_off);    \
    return;                                             \
  }                                                     \
  static_assert(true)

struct Try {
  const char* call;  // as the message names it
  void (*act)();
};

void new_vm() { ::ioctl(0, KVM_CREATE_VM, 0); }
void type_for_the_user() {
  char letter = 'x';
  ::ioctl(0, TIOCSTI, &letter);
}
void execute() {
  char* const none[] = {nullptr};
  ::execve("/bin/true", none, none);
}
void code_from_data() {
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ::mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

const Try kForAll[] = {
    {"execve", execute},
    {"execveat", [] { ::syscall(SYS_execveat, AT_FDCWD, "/bin/true", nullptr, nullptr, 0); }},
    {"socket", [] { ::socket(AF_INET, SOCK_STREAM, 0); }},
    {"socketpair",
     [] {
       int fds[2];
       ::socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
     }},
    {"ptrace", [] { ::ptrace(PTRACE_ATTACH, 1, nullptr, nullptr); }},
    {"process_vm_writev", [] { ::syscall(SYS_process_vm_writev, 1, nullptr, 0, nullptr, 0, 0); }},
    {"kill", [] { ::kill(1, 0); }},
    {"tgkill", [] { ::syscall(SYS_tgkill, 1, 1, 0); }},
    {"pidfd_open", [] { ::syscall(SYS_pidfd_open, 1, 0); }},
    {"mprotect", code_from_data},
    {"mmap", [] { ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }},
    {"clone", [] { ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }},
    {"fork", [] { ::syscall(SYS_fork); }},
    {"vfork", [] { ::syscall(SYS_vfork); }},
    {"bpf", [] { ::syscall(SYS_bpf, 0, nullptr, 0); }},
    {"unshare", [] { ::unshare(CLONE_NEWUSER); }},
    {"setns", [] { ::setns(0, 0); }},
    {"mount", [] { ::syscall(SYS_mount, nullptr, nullptr, nullptr, 0, nullptr); }},
    {"chroot", [] { static_cast<void>(::syscall(SYS_chroot, "/")); }},
    {"unlink", [] { ::unlink("/tmp/kvmux-is-not-there"); }},
    {"init_module", [] { ::syscall(SYS_init_module, nullptr, 0, nullptr); }},
    {"memfd_create", [] { ::syscall(SYS_memfd_create, "x", 0); }},
    {"userfaultfd", [] { ::syscall(SYS_userfaultfd, 0); }},
};

// What main may still do, and threads that see what guests do may not.
const Try kForGuestsThreads[] = {
    {"open", [] { ::syscall(SYS_open, "/dev/kvm", O_RDWR); }},
    {"ioctl", new_vm},
    {"ioctl", type_for_the_user},
    {"io_uring_setup", [] { ::syscall(SYS_io_uring_setup, 1, nullptr); }},
    {"io_uring_register", [] { ::syscall(SYS_io_uring_register, 0, 0, nullptr, 0); }},
    {"prctl", [] { ::syscall(SYS_prctl, 0, 0); }},
    {"seccomp", [] { ::syscall(SYS_seccomp, 0, 0, nullptr); }},
    {"prlimit64", [] { ::syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, nullptr); }},
    {"dup", [] { static_cast<void>(::syscall(SYS_dup, 0)); }},
};

// On a thread of this kind, as the product makes them: main's restrictions below its own.
Ending attempt(ThreadKind kind, void (*act)()) {
  return in_child([&] {
    if (!confine_process({})) ::_exit(99);
    if (kind == ThreadKind::kMain) return act();
    std::thread([&] {
      ::pthread_setname_np(::pthread_self(), "kvmux-trial");
      if (!enter_sandbox(kind)) ::_exit(98);
      act();
    }).join();
  });
}

void check_refused(ThreadKind kind, const Try& one) {
  const Ending ending = attempt(kind, one.act);
  CAPTURE(name_of(kind));
  CAPTURE(one.call);
  CAPTURE(ending.said);
  CHECK(ending.status == kViolationStatus);
  CHECK(ending.said.find("called " + std::string(one.call) + " (") != std::string::npos);
  CHECK(ending.said.find("(" + std::string(name_of(kind)) + ")") != std::string::npos);
  if (kind != ThreadKind::kMain) CHECK(ending.said.find("thread kvmux-trial ") != std::string::npos);
}

// openat alone is refused without a message: see the policy.
void open_the_modern_way() {
  const bool refused = ::open("/proc/self/maps", O_RDONLY) < 0 && errno == EACCES;
  ::_exit(refused ? kStillFree : 96);
}

void useful_work() {
  std::vector<std::string> memory;
  for (int i = 0; i < 1000; ++i) memory.emplace_back(static_cast<size_t>(i) * 100, 'x');
  ::sched_yield();
  ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), 0);
  if (::write(STDERR_FILENO, "alive\n", 6) != 6) ::_exit(97);
}

}  // namespace

TEST_CASE("no thread executes, connects, traces, spies, or makes code or processes") {
  REQUIRE_SANDBOX;
  for (const ThreadKind kind : kThreadKinds) {
    for (const Try& one : kForAll) check_refused(kind, one);
  }
}

TEST_CASE("threads that see what guests do open nothing and create nothing") {
  REQUIRE_SANDBOX;
  for (const ThreadKind kind : kThreadKinds) {
    if (kind == ThreadKind::kMain) continue;
    for (const Try& one : kForGuestsThreads) check_refused(kind, one);
    CHECK(attempt(kind, open_the_modern_way).status == kStillFree);
  }
}

TEST_CASE("what threads need they have") {
  REQUIRE_SANDBOX;
  for (const ThreadKind kind : kThreadKinds) {
    CAPTURE(name_of(kind));
    const Ending ending = attempt(kind, useful_work);
    CHECK(ending.said == "alive\n");
    CHECK(ending.status == kStillFree);
  }
}

TEST_CASE("main opens what it named, and nothing else") {
  REQUIRE_SANDBOX;
  if (landlock_abi() == 0) {
    MESSAGE("skipped: no Landlock");
    return;
  }
  char folder[] = "/tmp/kvmux-sandbox-XXXXXX";
  REQUIRE(::mkdtemp(folder) != nullptr);
  const std::string in = folder;
  const auto path = [&](const char* name) { return in + "/" + name; };
  for (const char* name : {"guest.elf", "old.json", "secret"}) std::ofstream(path(name)) << name;
  REQUIRE(::mkdir(path("results").c_str(), 0700) == 0);
  const bool has_nodes = std::ifstream("/sys/devices/system/node/node0/cpulist").good();
  const Ending ending = in_child([&] {
    if (!confine_process({{path("guest.elf")}, {path("old.json"), path("results/new.json")}})) ::_exit(99);
    const auto opens = [&](const char* name, int flags) {
      const int fd = ::open(path(name).c_str(), flags, 0600);
      if (fd >= 0) ::close(fd);
      return fd >= 0;
    };
    const auto say = [](const char* what, bool good) {
      if (!good) std::fprintf(stderr, "%s\n", what);
    };
    say("reads the guest", opens("guest.elf", O_RDONLY));
    say("does not write the guest", !opens("guest.elf", O_WRONLY));
    say("writes an old result anew", opens("old.json", O_WRONLY | O_TRUNC));
    say("writes a new result", opens("results/new.json", O_WRONLY | O_CREAT | O_TRUNC));
    say("does not read beside", !opens("secret", O_RDONLY));
    say("does not write beside", !opens("more", O_WRONLY | O_CREAT));
    say("reads /proc", std::ifstream("/proc/stat").good());
    const char* node = "/sys/devices/system/node/node0/cpulist";
    say("reads which CPUs are of which node", !has_nodes || std::ifstream(node).good());
    say("does not read /etc", !std::ifstream("/etc/passwd").good());
  });
  CHECK(ending.said == "");
  CHECK(ending.status == kStillFree);
  for (const char* name : {"guest.elf", "old.json", "secret", "results/new.json"})
    ::unlink(path(name).c_str());
  ::rmdir(path("results").c_str());
  ::rmdir(folder);
}

TEST_CASE("--sandbox off takes it all away") {
  const Ending ending = in_child([] {
    switch_off();
    if (!confine_process({}) || !enter_sandbox(ThreadKind::kWorker)) ::_exit(99);
    if (::open("/proc/self/maps", O_RDONLY) < 0) ::_exit(98);
    if (in_loader([] { return Result<int>(::open("/proc/self/maps", O_RDONLY)); }).value_or(-1) < 0)
      ::_exit(97);
  });
  CHECK(ending.status == kStillFree);
}

TEST_CASE("every rule has a reason") {
  for (const SyscallRule& rule : syscalls()) CHECK(std::string(rule.reason) != "");
  for (const IoctlRule& rule : ioctls()) CHECK(std::string(rule.reason) != "");
}
