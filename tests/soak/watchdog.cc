#include "tests/soak/watchdog.h"

#include <execinfo.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace soak {
namespace {

int backtrace_signal() { return SIGRTMAX - 3; }

// Where the thread that was asked stands. Its own filter of system calls may not let it write, so the
// watchdog does.
std::array<void*, 64> frames;
std::atomic<int> frame_count{-1};

// In the thread that is asked. backtrace() may allocate at its first use only, which the constructor has had.
void take_backtrace(int) {
  frame_count.store(::backtrace(frames.data(), static_cast<int>(frames.size())), std::memory_order_release);
}

void write_backtrace(pid_t thread) {
  std::fprintf(stderr, "backtrace of thread %d:\n", thread);
  std::fflush(stderr);
  frame_count.store(-1);
  ::tgkill(::getpid(), thread, backtrace_signal());
  for (int waits = 0; waits < 100 && frame_count.load(std::memory_order_acquire) < 0; ++waits) {
    ::usleep(10'000);
  }
  const int count = frame_count.load(std::memory_order_acquire);
  if (count < 0) std::fprintf(stderr, "  it does not answer\n");
  if (count > 0) ::backtrace_symbols_fd(frames.data(), count, STDERR_FILENO);
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line, '\0');
  while (!line.empty() && line.back() == '\n') line.pop_back();
  return line;
}

std::vector<pid_t> threads_of(pid_t process) {
  std::vector<pid_t> threads;
  std::error_code error;
  const auto folder = std::filesystem::path("/proc") / std::to_string(process) / "task";
  for (auto at = std::filesystem::directory_iterator(folder, error); !error && at != std::filesystem::end(at);
       at.increment(error)) {
    threads.push_back(std::stoi(at->path().filename().string()));
  }
  return threads;
}

}  // namespace

void dump_threads(pid_t process) {
  for (const pid_t thread : threads_of(process)) {
    const auto at =
        std::filesystem::path("/proc") / std::to_string(process) / "task" / std::to_string(thread);
    std::fprintf(stderr, "thread %d: stat %s\n  wchan %s, syscall %s\n  kernel stack: %s\n", thread,
                 contents(at / "stat").c_str(), contents(at / "wchan").c_str(),
                 contents(at / "syscall").c_str(), contents(at / "stack").c_str());
  }
}

Watchdog::Watchdog() {
  ::backtrace(frames.data(), static_cast<int>(frames.size()));  // loads the unwinder
  struct sigaction action = {};
  action.sa_handler = take_backtrace;
  action.sa_flags = SA_RESTART;
  ::sigaction(backtrace_signal(), &action, nullptr);
  thread_ = std::thread([this] { watch(); });
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Watchdog::begin(std::string what, Nanos limit) {
  const std::lock_guard lock(mutex_);
  what_ = std::move(what);
  deadline_ = std::chrono::steady_clock::now() + limit;
  changed_.notify_one();
}

void Watchdog::end() {
  const std::lock_guard lock(mutex_);
  deadline_.reset();
}

void Watchdog::watch() {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::unique_lock lock(mutex_);
  while (!over_) {
    if (!deadline_) {
      changed_.wait(lock);
    } else if (changed_.wait_until(lock, *deadline_) == std::cv_status::timeout && deadline_ &&
               std::chrono::steady_clock::now() >= *deadline_) {
      break;
    }
  }
  if (over_) return;
  std::fprintf(stderr, "HANG: %s\n", what_.c_str());
  dump_threads(::getpid());
  for (const pid_t thread : threads_of(::getpid())) {
    if (thread != ::gettid()) write_backtrace(thread);
  }
  std::abort();
}

}  // namespace soak
