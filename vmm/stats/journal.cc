#include "vmm/stats/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "vmm/run/retry.h"

namespace vmm {
namespace {

Result<std::string> read_all(int fd, const std::string& path) {
  std::string text;
  std::string chunk(size_t{1} << 16, '\0');
  for (;;) {
    const ssize_t got = uninterrupted([&] { return read(fd, chunk.data(), chunk.size()); });
    if (got == 0) return text;
    if (got < 0) return host_error("read " + path, errno);
    text.append(chunk, 0, static_cast<size_t>(got));
  }
}

}  // namespace

Result<JournalContents> read_journal(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT)
    return usage_error(path, "no such file; a result file is written by `--out`");
  if (fd < 0) return host_error("open " + path, errno);
  const auto text = read_all(fd, path);
  close(fd);
  if (!text) return tl::unexpected(text.error());
  return parse_journal(path, *text);
}

Result<Journal> Journal::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return host_error("open " + path, errno);
  Journal journal(fd, path, {});  // owns fd from here on
  struct stat kind {};
  if (fstat(fd, &kind) != 0) return host_error("stat " + path, errno);
  if (S_ISFIFO(kind.st_mode)) return usage_error("--out " + path, "a pipe cannot be read back; give a file");
  if (!S_ISREG(kind.st_mode)) return journal;  // /dev/null: nothing to go on from
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return host_error("lock " + path, errno, "another kvmux is appending to it");
  }
  const auto text = read_all(fd, path);
  if (!text) return tl::unexpected(text.error());
  auto contents = parse_journal(path, *text);
  if (!contents) return tl::unexpected(contents.error());
  if (contents->dropped_tail && ftruncate(fd, static_cast<off_t>(contents->whole_bytes)) != 0) {
    return host_error("truncate " + path, errno, "its last line is half-written");
  }
  journal.contents_ = std::move(*contents);
  return journal;
}

Journal::Journal(int fd, std::string path, JournalContents contents)
    : fd_(fd), path_(std::move(path)), contents_(std::move(contents)) {}

Journal::Journal(Journal&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      contents_(std::move(other.contents_)) {}

Journal& Journal::operator=(Journal&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  std::swap(contents_, other.contents_);
  return *this;
}

Journal::~Journal() {
  if (fd_ >= 0) close(fd_);
}

Result<void> Journal::append(const Json& line) {
  // One write a line; O_APPEND makes it land at the end whatever else happens to the file.
  const std::string text = dump(line) + "\n";
  const ssize_t written = uninterrupted([&] { return write(fd_, text.data(), text.size()); });
  if (written < 0) return host_error("write " + path_, errno);
  if (static_cast<size_t>(written) != text.size()) {
    return host_error("write " + path_, 0, "the line was cut short: is the disk full?");
  }
  return {};
}

}  // namespace vmm
