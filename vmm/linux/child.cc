#include "vmm/linux/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "vmm/kvm/fd.h"
#include "vmm/run/retry.h"

namespace vmm::linux_guest {
namespace {

constexpr int kCannotStart = 126;

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return host_error("pipe", errno);
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// Between fork and exec: nothing but system calls. It ends when we do.
[[noreturn]] void become(char* const* arguments, const char* folder, int out, int err,
                         char* const* environment) {
  (void)::prctl(PR_SET_PDEATHSIG, SIGTERM);
  const int null = ::open("/dev/null", O_RDONLY);
  if (null < 0 || ::dup2(null, STDIN_FILENO) < 0 || ::dup2(out, STDOUT_FILENO) < 0 ||
      ::dup2(err, STDERR_FILENO) < 0 || (*folder != '\0' && ::chdir(folder) != 0)) {
    ::_exit(kCannotStart);
  }
  ::execvpe(arguments[0], arguments, environment);
  ::_exit(errno == ENOENT ? 127 : kCannotStart);
}

// Both to their ends.
void read_all(const UniqueFd& out, const UniqueFd& err, std::string& output, std::string& errors) {
  std::array<pollfd, 2> fds{{{out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}}};
  std::array<char, 16384> piece;
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    if (uninterrupted([&] { return ::poll(fds.data(), fds.size(), -1); }) < 0) return;
    for (size_t i = 0; i < fds.size(); ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      const ssize_t got = uninterrupted([&] { return ::read(fds[i].fd, piece.data(), piece.size()); });
      if (got <= 0) {
        fds[i].fd = -1;
      } else {
        (i == 0 ? output : errors).append(piece.data(), static_cast<size_t>(got));
      }
    }
  }
}

std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const size_t line = text.rfind('\n');
  return line == std::string::npos ? text : text.substr(line + 1);
}

// In English, so that messages are those that people search for.
std::vector<char*> environment_with(std::string& language) {
  std::vector<char*> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (!text.starts_with("LC_ALL=") && !text.starts_with("LANGUAGE=")) environment.push_back(*variable);
  }
  environment.push_back(language.data());
  environment.push_back(nullptr);
  return environment;
}

}  // namespace

Result<std::string> output_of(const std::vector<std::string>& words, const std::string& folder) {
  std::vector<std::string> owned = words;
  std::vector<char*> arguments;
  for (std::string& word : owned) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::string language = "LC_ALL=C";
  const auto environment = environment_with(language);
  auto out = make_pipe();
  auto err = make_pipe();
  if (!out || !err) return Failure(out ? err.error() : out.error());
  const pid_t child = ::fork();
  if (child < 0) return host_error(words[0] + ": fork", errno);
  if (child == 0) {
    become(arguments.data(), folder.c_str(), out->write.get(), err->write.get(), environment.data());
  }
  out->write.reset();
  err->write.reset();
  std::string output;
  std::string errors;
  read_all(out->read, err->read, output, errors);
  int status = 0;
  if (uninterrupted([&] { return ::waitpid(child, &status, 0); }) < 0)
    return host_error(words[0] + ": waitpid", errno);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return output;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
    return host_error(words[0], ENOENT, "it is not installed");
  const std::string what = words.size() > 1 && words[1].front() != '-' ? words[0] + " " + words[1] : words[0];
  return host_error(what, 0,
                    errors.empty() ? fmt::format("ended with status {:#x}", static_cast<unsigned>(status))
                                   : last_line(errors));
}

bool is_installed(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::string rest = path == nullptr ? "/usr/bin:/bin" : path;
  for (size_t begin = 0; begin <= rest.size();) {
    const size_t end = std::min(rest.find(':', begin), rest.size());
    if (::access((rest.substr(begin, end - begin) + "/" + program).c_str(), X_OK) == 0) return true;
    begin = end + 1;
  }
  return false;
}

}  // namespace vmm::linux_guest
