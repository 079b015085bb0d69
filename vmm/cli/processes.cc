#include "vmm/cli/processes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <ostream>
#include <thread>
#include <utility>

#include "vmm/run/retry.h"
#include "vmm/stats/merge.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

// A file that is gone when the object is.
class TemporaryFile {
 public:
  static Result<TemporaryFile> create(const std::string& text) {
    std::error_code error;
    TemporaryFile file;
    file.path_ = (std::filesystem::temp_directory_path(error) / "kvmux-process-XXXXXX").string();
    const int fd = ::mkostemp(file.path_.data(), O_CLOEXEC);
    if (fd < 0) return Failure(host_error("create " + file.path_, errno).value());
    size_t done = 0;
    while (done < text.size()) {
      const ssize_t written =
          uninterrupted([&] { return ::write(fd, text.data() + done, text.size() - done); });
      if (written <= 0) break;
      done += static_cast<size_t>(written);
    }
    const int problem = done < text.size() ? errno : 0;
    ::close(fd);
    if (done < text.size()) return Failure(host_error("write " + file.path_, problem).value());
    return file;
  }
  TemporaryFile(TemporaryFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  const std::string& path() const { return path_; }

 private:
  TemporaryFile() = default;
  std::string path_;
};

// This program with these arguments; it ends when we do.
Result<pid_t> start_self(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t self = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return Failure(host_error("--processes: fork", errno).value());
  if (child > 0) return child;
  // Between fork and exec of a program with threads: nothing but system calls.
  (void)::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() == self) ::execv("/proc/self/exe", arguments.data());
  ::_exit(127);
}

// Its exit status. One that does not hear of a Ctrl-C by itself is told.
int wait_for(pid_t child, const std::atomic<bool>& stop) {
  constexpr int kPatience = 10;
  int polls_since_stop = 0;
  for (;;) {
    int status = 0;
    const pid_t ended = uninterrupted([&] { return ::waitpid(child, &status, WNOHANG); });
    if (ended == child) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (ended < 0) return kExitInterrupted;
    if (stop.load() && ++polls_since_stop == kPatience) ::kill(child, SIGTERM);
    std::this_thread::sleep_for(20ms);
  }
}

JournalContents contents_of(const Experiment& experiment) {
  JournalContents contents;
  for (const Cell& cell : experiment.cells()) {
    if (!cell.info.switchback || cell.info.period > 0) contents.cells.push_back(cell.info);
    const uint32_t blocks = experiment.runs().block_count(cell.info);
    for (uint32_t block = 0; block < blocks; ++block) {
      const auto attempt = experiment.runs().counting_attempt(cell.info, block);
      if (!attempt) continue;
      for (const RunRecord* run : experiment.runs().attempt(cell.info, block, *attempt)) {
        if (run != nullptr) contents.runs.push_back(*run);
      }
    }
  }
  return contents;
}

// What the part measured is taken over.
Result<void> take_over(const std::string& path, Experiment& experiment, Journal* journal) {
  auto contents = read_journal(path);
  if (!contents) return Failure(contents.error());
  for (const CellInfo& info : contents->cells) {
    const auto same = [&](const Cell& cell) { return cell.info.key == info.key; };
    const auto cell = std::find_if(experiment.cells().begin(), experiment.cells().end(), same);
    if (cell == experiment.cells().end() || !info.switchback || cell->info.period > 0) continue;
    experiment.set_turns(info.key, info.period, info.washout);
    if (journal == nullptr) continue;
    if (auto appended = journal->append(cell_line(info)); !appended) return appended;
  }
  for (RunRecord& run : contents->runs) {
    const Json line = run_line(run);
    if (!experiment.add(std::move(run)) || journal == nullptr) continue;
    if (auto appended = journal->append(line); !appended) return appended;
  }
  return {};
}

void judge(int status, const Part& part, Measured& measured) {
  if (status == kExitOk) return;
  const std::string which = fmt::format("process {} of {}", part.process + 1, part.processes);
  if (status == kExitInterrupted) {
    measured.interrupted = true;
  } else if (status == kExitGuest) {
    measured.guest_failures.push_back(which + ": a guest failed");
  } else {
    measured.error =
        host_error("--processes", 0, fmt::format("{} ended with status {}", which, status)).value();
  }
}

}  // namespace

std::string Part::text() const {
  return fmt::format("{}/{},{},{}", process, processes, max_time.count(), file);
}

Result<Part> parse_part(const std::string& text) {
  Part part;
  unsigned process = 0;
  unsigned processes = 0;
  long long nanos = 0;
  int end = 0;
  const int read = std::sscanf(text.c_str(), "%u/%u,%lld,%n", &process, &processes, &nanos, &end);
  if (read != 3 || end == 0 || process >= processes || nanos < 0) {
    return bad_value("--part-of-processes", text, "what --processes gives to its processes");
  }
  return Part{process, processes, Nanos{nanos}, text.substr(static_cast<size_t>(end))};
}

Measured measure_in_processes(Experiment& experiment, Journal* journal, uint32_t processes, Nanos max_time,
                              Services& services) {
  Measured measured;
  const Nanos start = services.now();
  for (uint32_t i = 0; i < processes && !measured.error && !measured.interrupted; ++i) {
    Part part{.process = i, .processes = processes, .max_time = {}, .file = {}};
    if (max_time > Nanos{}) {
      const Nanos left = max_time - (services.now() - start);
      measured.time_is_up = left <= Nanos{};
      if (measured.time_is_up) break;
      part.max_time = left / (processes - i);
    }
    auto file = TemporaryFile::create(journal_text(contents_of(experiment)));
    if (!file) {
      measured.error = file.error();
      break;
    }
    part.file = file->path();
    services.err << fmt::format("kvmux: process {} of {}\n", i + 1, processes);
    services.out << std::flush;
    std::vector<std::string> words = services.command_line;
    words.insert(words.end(), {"--part-of-processes", part.text()});
    const auto child = start_self(std::move(words));
    if (!child) {
      measured.error = child.error();
      break;
    }
    judge(wait_for(*child, services.control.stop), part, measured);
    const auto taken = take_over(part.file, experiment, journal);
    if (!taken && !measured.error) measured.error = taken.error();
    measured.interrupted = measured.interrupted || services.control.stop.load();
  }
  return measured;
}

}  // namespace vmm
