#include "tests/fail/tracer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <set>

#include "tests/fail/naming.h"

namespace fail_test {
namespace {

using Clock = std::chrono::steady_clock;

// Its own file descriptor for an output: no reader is needed while it runs.
class Catch {
 public:
  Catch() : fd_(::memfd_create("output", MFD_CLOEXEC)) {}
  Catch(const Catch&) = delete;
  Catch& operator=(const Catch&) = delete;
  ~Catch() { ::close(fd_); }
  int fd() const { return fd_; }
  std::string text() const {
    std::string all(static_cast<size_t>(std::max<off_t>(0, ::lseek(fd_, 0, SEEK_END))), '\0');
    const ssize_t got = ::pread(fd_, all.data(), all.size(), 0);
    all.resize(static_cast<size_t>(std::max<ssize_t>(0, got)));
    return all;
  }

 private:
  int fd_;
};

// Stops at this call, or at every one.
bool load_filter(std::optional<int> number) {
  constexpr uint32_t kTrace = SCMP_ACT_TRACE(0);
  const scmp_filter_ctx filter = ::seccomp_init(number ? SCMP_ACT_ALLOW : kTrace);
  if (filter == nullptr) return false;
  if (number && ::seccomp_rule_add(filter, kTrace, *number, 0) != 0) return false;
  return ::seccomp_load(filter) == 0;
}

[[noreturn]] void become(const Program& program, std::optional<int> number, int out, int err) {
  const int in = ::open(program.input.empty() ? "/dev/null" : program.input.c_str(), O_RDONLY);
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  std::vector<char*> words;
  for (const std::string& word : program.arguments) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(125);
  ::raise(SIGSTOP);
  if (!load_filter(number)) ::_exit(126);
  ::execv(words[0], words.data());
  ::_exit(127);
}

// True: the call is to fail with this error.
using Judge = std::function<int(const Site&)>;

class Tracer {
 public:
  Tracer(pid_t process, std::optional<int> number, Judge judge)
      : process_(process), number_(number), judge_(std::move(judge)) {}

  void follow(std::chrono::seconds limit, Ending& ending) {
    const auto end = Clock::now() + limit;
    int status = 0;
    for (;;) {
      const pid_t thread = ::waitpid(-1, &status, __WALL);
      if (Clock::now() >= end && !ending.hung) {
        ending.hung = true;
        ::kill(process_, SIGKILL);
      }
      if (thread < 0 && errno == EINTR) continue;
      if (thread < 0) return;
      if (WIFSTOPPED(status)) {
        ::ptrace(PTRACE_CONT, thread, nullptr, on_stop(thread, status));
      } else if (thread == process_) {
        if (WIFEXITED(status)) ending.status = WEXITSTATUS(status);
        if (WIFSIGNALED(status)) ending.signal = WTERMSIG(status);
      }
    }
  }

 private:
  // The signal to go on with.
  long on_stop(pid_t thread, int status) {
    const int event = status >> 16;
    if (event == PTRACE_EVENT_CLONE && thread == process_) counting_ = true;
    if (event == PTRACE_EVENT_SECCOMP && counting_) on_call(thread);
    const bool is_new = known_.insert(thread).second;
    if (event != 0 || (is_new && WSTOPSIG(status) == SIGSTOP)) return 0;
    return WSTOPSIG(status);
  }

  void on_call(pid_t thread) const {
    __ptrace_syscall_info info{};
    ::ptrace(static_cast<__ptrace_request>(PTRACE_GET_SYSCALL_INFO), thread, sizeof(info), &info);
    Call call{static_cast<int>(info.seccomp.nr), {}, info.instruction_pointer};
    if (number_ && *number_ != call.number) return;
    std::copy(std::begin(info.seccomp.args), std::end(info.seccomp.args), call.arguments.begin());
    const int error = judge_({kind_of_thread(process_, thread), call.number, name_of(process_, call)});
    if (error == 0) return;
    user_regs_struct registers{};
    ::ptrace(PTRACE_GETREGS, thread, nullptr, &registers);
    registers.orig_rax = static_cast<unsigned long long>(-1);  // no call at all
    registers.rax = static_cast<unsigned long long>(-static_cast<long long>(error));
    ::ptrace(PTRACE_SETREGS, thread, nullptr, &registers);
  }

  const pid_t process_;
  const std::optional<int> number_;
  const Judge judge_;
  std::set<pid_t> known_{process_};
  bool counting_ = false;
};

// Ends waitpid() now and then.
void tick(bool on) {
  struct sigaction action {};
  action.sa_handler = [](int) {};  // no SA_RESTART
  ::sigaction(SIGALRM, &action, nullptr);
  const timeval often{0, on ? 200'000 : 0};
  const itimerval timer{often, often};
  ::setitimer(ITIMER_REAL, &timer, nullptr);
}

Ending run_traced(const Program& program, std::optional<int> number, const Judge& judge) {
  const Catch out;
  const Catch err;
  Ending ending;
  const pid_t child = ::fork();
  if (child == 0) become(program, number, out.fd(), err.fd());
  if (child < 0) return ending;
  int status = 0;
  ::waitpid(child, &status, 0);  // stopped by itself
  constexpr long kOptions =
      PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
  if (!WIFSTOPPED(status) || ::ptrace(PTRACE_SETOPTIONS, child, nullptr, kOptions) != 0) {
    ::kill(child, SIGKILL);
    return ending;
  }
  ::ptrace(PTRACE_CONT, child, nullptr, 0);
  tick(true);
  Tracer(child, number, judge).follow(program.limit, ending);
  tick(false);
  ending.out = out.text();
  ending.err = err.text();
  return ending;
}

}  // namespace

std::string Fault::text() const {
  return fmt::format("{}/{}{}/{}", site.text(), nth, forever ? "+" : "", ::strerrorname_np(error));
}

Ending run_failing(const Program& program, const std::optional<Fault>& fault) {
  uint64_t seen = 0;
  uint64_t failed = 0;
  const auto judge = [&](const Site& site) {
    if (site != fault->site) return 0;
    ++seen;
    if (fault->forever ? seen < fault->nth : seen != fault->nth) return 0;
    ++failed;
    return fault->error;
  };
  // Without a fault nothing stops: no program calls what it traces.
  const int number = fault ? fault->site.number : SYS_getcpu;
  Ending ending = run_traced(program, number, fault ? Judge(judge) : Judge([](const Site&) { return 0; }));
  ending.failed = failed;
  return ending;
}

Ending take_census(const Program& program, Census& census) {
  return run_traced(program, std::nullopt, [&](const Site& site) {
    ++census[site];
    return 0;
  });
}

bool can_trace() {
  Program program;
  program.arguments = {"/bin/true"};
  return run_failing(program, std::nullopt).status == 0;
}

}  // namespace fail_test
