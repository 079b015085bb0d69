#include "vmm/watch/thread_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include "vmm/run/retry.h"

namespace vmm::watch {
namespace {

UniqueFd open_for_reading(const std::string& path) {
  UniqueFd file;
  (void)retried([&] {
    file = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return file.get();
  });
  return file;
}

std::string_view read_whole(const UniqueFd& file, std::span<char> text) {
  if (!file) return {};
  ssize_t got = 0;
  const int error = retried([&] { return got = ::pread(file.get(), text.data(), text.size(), 0); });
  return error == 0 && got > 0 ? std::string_view(text.data(), static_cast<size_t>(got)) : std::string_view{};
}

// The next number, which is taken off.
int64_t take_number(std::string_view& text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  int64_t number = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), number).ptr;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

}  // namespace

char state_letter(std::string_view stat) {
  const size_t name_ends = stat.rfind(") ");
  return name_ends == std::string_view::npos || name_ends + 2 >= stat.size() ? '?' : stat[name_ends + 2];
}

ThreadFiles::ThreadFiles(pid_t thread)
    : stat_(open_for_reading(fmt::format("/proc/self/task/{}/stat", thread))),
      schedstat_(open_for_reading(fmt::format("/proc/self/task/{}/schedstat", thread))) {}

ThreadHost ThreadFiles::read() const {
  std::array<char, 512> text;
  ThreadHost host;
  host.state = state_letter(read_whole(stat_, text));
  std::string_view figures = read_whole(schedstat_, text);
  host.known = !figures.empty() && host.state != '?';
  host.ran = Nanos(take_number(figures));
  host.waited = Nanos(take_number(figures));
  return host;
}

}  // namespace vmm::watch
