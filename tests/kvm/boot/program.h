// Runs the kvmux program itself, as its user does: with pipes, or on a terminal. One thread.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include <array>
#include <chrono>
#include <csignal>
#include <string>
#include <vector>

namespace kvm_test {

// A kvmux under way. Ends it when the test gives up on it.
class Program {
 public:
  enum class On { kPipe, kTerminal };

  // A standard output of the test's own may be given; else it is where the others are.
  Program(On where, std::vector<std::string> arguments, int output = -1) {
    if (where == On::kTerminal) {
      REQUIRE(::openpty(&ours_, &theirs_, nullptr, nullptr, nullptr) == 0);
    } else {
      std::array<int, 2> pipe{};
      REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
      ours_ = pipe[0];
      theirs_ = pipe[1];
    }
    arguments.insert(arguments.begin(), KVMUX_PROGRAM);
    child_ = ::fork();
    REQUIRE(child_ >= 0);
    if (child_ == 0) become(where, arguments, output);
    if (where == On::kPipe) close_theirs();
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
    close_theirs();
    ::close(ours_);
  }

  // Reads until this text has come; false: the program ended, or a minute went by.
  bool wait_for(const std::string& text) {
    while (output_.find(text) == std::string::npos) {
      if (!read_more()) return false;
    }
    return true;
  }
  // Exit status, or minus the signal that ended it. Reads what it still prints.
  int wait_for_end() {
    close_theirs();  // a terminal whose last user has gone reads as ended
    while (read_more()) {
    }
    int status = 0;
    REQUIRE(::waitpid(child_, &status, 0) == child_);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  void type(const std::string& keys) {
    REQUIRE(::write(ours_, keys.data(), keys.size()) == static_cast<ssize_t>(keys.size()));
  }
  pid_t pid() const { return child_; }
  void signal(int number) const { ::kill(child_, number); }
  termios settings() const {
    termios now{};
    REQUIRE(::tcgetattr(ours_, &now) == 0);
    return now;
  }
  const std::string& output() const { return output_; }

 private:
  [[noreturn]] void become(On where, const std::vector<std::string>& arguments, int output) const {
    if (where == On::kTerminal) {
      ::close(ours_);
      if (::login_tty(theirs_) != 0) ::_exit(126);
    } else {
      ::dup2(::open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
      ::dup2(theirs_, STDOUT_FILENO);
      ::dup2(theirs_, STDERR_FILENO);
    }
    if (output >= 0) ::dup2(output, STDOUT_FILENO);
    std::vector<char*> argv;
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  bool read_more() {
    constexpr int kPatienceMs = 240'000;
    pollfd wait{ours_, POLLIN, 0};
    if (::poll(&wait, 1, kPatienceMs) <= 0) return false;
    std::array<char, 4096> bytes;
    const ssize_t got = ::read(ours_, bytes.data(), bytes.size());
    if (got <= 0) return false;  // a terminal's end is EIO
    for (const char c : std::string_view(bytes.data(), static_cast<size_t>(got))) {
      if (c != '\r') output_ += c;
    }
    return true;
  }
  void close_theirs() {
    if (theirs_ >= 0) ::close(theirs_);
    theirs_ = -1;
  }

  pid_t child_ = -1;
  int ours_ = -1;
  int theirs_ = -1;
  std::string output_;
};

struct Finished {
  int status = 0;
  std::string output;

  bool has_line(const std::string& line) const {
    return ("\n" + output).find("\n" + line + "\n") != std::string::npos;
  }
  bool says(const std::string& text) const { return output.find(text) != std::string::npos; }
};

inline Finished run_program(std::vector<std::string> arguments) {
  Program program(Program::On::kPipe, std::move(arguments));
  const int status = program.wait_for_end();
  return {status, program.output()};
}

inline std::string guest_path(const std::string& file) { return std::string(KVMUX_TEST_GUESTS) + "/" + file; }

}  // namespace kvm_test
