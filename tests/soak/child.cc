#include "tests/soak/child.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <thread>

#include "tests/soak/watchdog.h"

namespace soak {

Child::Child(const std::vector<std::string>& words, const std::string& output) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
  ::posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
  ::posix_spawnattr_init(&attributes);
  sigset_t usual;
  sigset_t none;
  sigfillset(&usual);
  sigemptyset(&none);
  ::posix_spawnattr_setsigdefault(&attributes, &usual);  // nohup's ignored SIGHUP too
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  if (::posix_spawn(&pid_, argv[0], &files, &attributes, argv.data(), environ) != 0) pid_ = -1;
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
}

Child::~Child() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Child::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

void Child::pause(Nanos length) const {
  signal(SIGSTOP);
  std::this_thread::sleep_for(length);
  signal(SIGCONT);
}

int Child::wait(Nanos limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  int status = 0;
  for (;;) {
    const pid_t got = ::waitpid(pid_, &status, hung_ ? 0 : WNOHANG);
    if (got == pid_) break;
    if (got < 0 && errno != EINTR) return -1000;
    if (!hung_ && std::chrono::steady_clock::now() > end) {
      std::fprintf(stderr, "HANG of process %d\n", pid_);
      dump_threads(pid_);
      hung_ = true;
      ::kill(pid_, SIGABRT);
      std::this_thread::sleep_for(ms(2'000));
      ::kill(pid_, SIGKILL);
      continue;
    }
    std::this_thread::sleep_for(ms(2));
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace soak
