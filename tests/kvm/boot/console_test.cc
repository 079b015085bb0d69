// The guest's console under readers that are slow, stopped, gone or full, and its input beyond what it holds.
#include <atomic>
#include <thread>

#include "tests/kvm/boot/boot_guest.h"
#include "tests/kvm/boot/program.h"

using kvm_test::guest_path;
using kvm_test::Program;
using namespace std::chrono_literals;

namespace {

using Code = std::vector<uint8_t>;

bool is_raw(const termios& t) { return (t.c_lflag & (ICANON | ECHO | ISIG)) == 0; }
bool is_cooked(const termios& t) { return (t.c_lflag & (ICANON | ECHO | ISIG)) == (ICANON | ECHO | ISIG); }

// Prints 1024 bytes at a time, for ever, and does not look whether the line is free.
const Code kFlood{
    0xba, 0xf8, 0x03,  // mov $0x3f8,%dx
    0xbe, 0x00, 0x7c,  // mov $0x7c00,%si
    0xb9, 0x00, 0x04,  // mov $1024,%cx
    0xf3, 0x6e,        // rep outsb
    0xeb, 0xf6,        // again
};

// Prints 300 bytes, each when the line is free, and ends with 0 (exit status 1).
const Code kPolite{
    0xb9, 0x2c, 0x01,  // mov $300,%cx
    0xba, 0xfd, 0x03,  // mov $0x3fd,%dx
    0xec, 0xa8, 0x20,  // in %dx,%al; test $0x20,%al
    0x74, 0xfb,        // jz: busy
    0xba, 0xf8, 0x03,  // mov $0x3f8,%dx
    0x88, 0xc8, 0xee,  // mov %cl,%al; out %al,%dx
    0xe2, 0xf0,        // loop
    0xb0, 0x00,        // mov $0,%al
    0xe6, 0xf4, 0xf4,  // out %al,$0xf4; hlt
};

struct TypedGuest {
  uint32_t expected;
  // Counts bytes that are not 0 up to a 4, 512 at a look; ends with 3 if there were as many as expected.
  Code code() const {
    Code bytes{
        0xba, 0xfa, 0x03, 0xb0, 0x07, 0xee,  // FIFOs on and cleared: what came before must not be lost
        0x66, 0x31, 0xdb,                    // xor %ebx,%ebx
        0xba, 0xfd, 0x03,                    // mov $0x3fd,%dx
        0xec, 0xa8, 0x01,                    // in %dx,%al; test $1,%al
        0x74, 0xfb,                          // jz: nothing there
        0xba, 0xf8, 0x03,                    // mov $0x3f8,%dx
        0xbf, 0x00, 0x10,                    // mov $0x1000,%di
        0xb9, 0x00, 0x02,                    // mov $512,%cx
        0xf3, 0x6c,                          // rep insb
        0xbe, 0x00, 0x10,                    // mov $0x1000,%si
        0xb9, 0x00, 0x02,                    // mov $512,%cx
        0xac, 0x84, 0xc0,                    // next: lodsb; test %al,%al
        0x74, 0x06,                          // jz skip
        0x66, 0x43,                          // inc %ebx
        0x3c, 0x04,                          // cmp $4,%al
        0x74, 0x04,                          // je done
        0xe2, 0xf3,                          // skip: loop next
        0xeb, 0xd8,                          // jmp: the next look
        0x66, 0x81, 0xfb,                    // done: cmp $expected,%ebx
    };
    for (unsigned shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<uint8_t>(expected >> shift));
    bytes.insert(bytes.end(), {0x0f, 0x94, 0xc0, 0xe6, 0xf4, 0xf4});  // sete %al; out %al,$0xf4; hlt
    return bytes;
  }
};

vmm::BootSpec spec_of(const Code& code) {
  vmm::BootSpec spec;
  spec.image = {.file = std::as_bytes(std::span(code)),
                .format = {},
                .flat_address = vmm::Gpa{0x7c00},
                .modules = {},
                .cmdline = {}};
  spec.memory_bytes = uint64_t{8} << 20;
  spec.policy = *sched::parse_policy("yield");
  spec.timeout = 120s;
  return spec;
}

// An image on disk for the program itself.
class ImageFile {
 public:
  explicit ImageFile(const Code& code) {
    const int fd = ::mkstemp(path_);
    REQUIRE(fd >= 0);
    REQUIRE(::write(fd, code.data(), code.size()) == static_cast<ssize_t>(code.size()));
    ::close(fd);
  }
  ImageFile(const ImageFile&) = delete;
  ImageFile& operator=(const ImageFile&) = delete;
  ~ImageFile() { ::unlink(path_); }
  std::string path() const { return path_; }

 private:
  char path_[32] = "/tmp/kvmux-image-XXXXXX";
};

// A pipe that nobody reads, full already but for one page.
struct BlockedPipe {
  std::array<int, 2> ends{};
  BlockedPipe() {
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0);
    const std::string page(4096, '.');
    while (::write(ends[1], page.data(), page.size()) > 0) {
    }
    REQUIRE(::fcntl(ends[1], F_SETFL, 0) == 0);
  }
  ~BlockedPipe() {
    if (ends[0] >= 0) ::close(ends[0]);
    ::close(ends[1]);
  }
  void close_reader() {
    ::close(ends[0]);
    ends[0] = -1;
  }
};

template <class Work>
std::chrono::nanoseconds time_of(Work work) {
  const auto before = std::chrono::steady_clock::now();
  work();
  return std::chrono::steady_clock::now() - before;
}

// Ready for so many bytes, then never again. What comes all the same is counted too.
vmm::BootConsole console_that_holds(size_t room, size_t& printed) {
  return {.output = [&printed](std::span<const uint8_t> bytes) { printed += bytes.size(); },
          .ready = [&printed, room] { return printed < room; },
          .when_ready = {},
          .input = -1,
          .filter = {}};
}

constexpr auto kSoon = 3s;  // a second is the promise; the test's host may be busy

std::vector<std::string> flood(const ImageFile& image, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{"boot", image.path(), "--mem", "8M"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

TEST_CASE("a guest that looks whether the line is free loses nothing to a slow reader") {
  REQUIRE_KVM(system);
  std::atomic<int> room{0};
  std::atomic<bool> done{false};
  std::function<void()> tell;
  std::string output;
  const vmm::BootConsole console{.output =
                                     [&](std::span<const uint8_t> bytes) {
                                       output.append(bytes.begin(), bytes.end());
                                       --room;
                                     },
                                 .ready = [&] { return room.load() > 0; },
                                 .when_ready = [&](std::function<void()> call) { tell = std::move(call); },
                                 .input = -1,
                                 .filter = {}};
  std::thread reader([&] {
    while (!done) {
      room = 20;
      std::this_thread::sleep_for(2ms);
    }
  });
  const std::atomic<bool> stop{false};
  const auto result = vmm::boot(spec_of(kPolite), console, stop);
  done = true;
  reader.join();
  REQUIRE(result);
  CHECK(result->end == vmm::BootEnd::kExit);
  CHECK(output.size() == 300);
  CHECK(result->lost.written == 0);
  CHECK(tell == nullptr);  // nobody is told any more
}

TEST_CASE("what a guest prints without looking is counted once the console is full") {
  REQUIRE_KVM(system);
  size_t printed = 0;
  const vmm::BootConsole console = console_that_holds(100, printed);
  const std::atomic<bool> stop{false};
  vmm::BootSpec spec = spec_of(kFlood);
  spec.timeout = 500ms;
  const auto result = vmm::boot(spec, console, stop);
  REQUIRE(result);
  CHECK(result->end == vmm::BootEnd::kTimeout);
  CHECK(printed == 101);  // one waited in the transmitter
  CHECK(result->lost.written > 0);
}

TEST_CASE("what waits for a slow reader when the guest ends is not lost") {
  REQUIRE_KVM(system);
  size_t printed = 0;
  const vmm::BootConsole console = console_that_holds(299, printed);
  const std::atomic<bool> stop{false};
  const auto result = vmm::boot(spec_of(kPolite), console, stop);
  REQUIRE(result);
  CHECK(result->end == vmm::BootEnd::kExit);
  CHECK(printed == 300);
  CHECK(result->lost.written == 0);
}

TEST_CASE("input beyond what the guest's port holds waits outside until there is room") {
  REQUIRE_KVM(system);
  constexpr uint32_t kBytes = 200'000;
  std::signal(SIGPIPE, SIG_IGN);  // as main() does
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  std::thread typist([&] {
    std::string text(kBytes - 1, 'x');
    text += '\x04';
    for (size_t at = 0; at < text.size();) {
      const ssize_t written = ::write(ends[1], text.data() + at, text.size() - at);
      if (written <= 0) break;
      at += static_cast<size_t>(written);
    }
    ::close(ends[1]);
  });
  const vmm::BootConsole console{.output = [](std::span<const uint8_t>) {}, .input = ends[0], .filter = {}};
  const std::atomic<bool> stop{false};
  const Code code = TypedGuest{kBytes}.code();
  const auto result = vmm::boot(spec_of(code), console, stop);
  ::close(ends[0]);
  typist.join();
  REQUIRE(result);
  CHECK(result->end == vmm::BootEnd::kExit);
  CHECK(result->exit_code == 3);
  CHECK(result->lost.typed == 0);
}

TEST_CASE("endless input costs nothing while the guest does not read") {
  REQUIRE_KVM(system);
  const int zeros = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
  const vmm::BootConsole console{.output = [](std::span<const uint8_t>) {}, .input = zeros, .filter = {}};
  const std::atomic<bool> stop{false};
  const Code waits{0xfb, 0xf4, 0xeb, 0xfd};  // sti; hlt; jmp
  vmm::BootSpec spec = spec_of(waits);
  spec.timeout = 1s;
  const auto before = vmm::thread_cpu_now();
  const auto result = vmm::boot(spec, console, stop);
  CHECK(vmm::thread_cpu_now() - before < 300ms);
  ::close(zeros);
  CHECK(result.has_value());
}

TEST_CASE("input that cannot be read is told of while the guest runs") {
  REQUIRE_KVM(system);
  const int directory = ::open("/", O_RDONLY | O_CLOEXEC);
  std::atomic<bool> stop{false};
  std::vector<std::string> told;
  const vmm::BootConsole console{.output = [](std::span<const uint8_t>) {},
                                 .input = directory,
                                 .filter = {},
                                 .input_lost =
                                     [&](const std::string& why) {
                                       told.push_back(why);
                                       stop = true;
                                     }};
  const Code waits{0xfb, 0xf4, 0xeb, 0xfd};  // sti; hlt; jmp
  vmm::BootSpec spec = spec_of(waits);
  spec.timeout = 20s;
  const auto result = vmm::boot(spec, console, stop);
  ::close(directory);
  REQUIRE(result);
  CHECK(result->end == vmm::BootEnd::kStopped);
  REQUIRE(told.size() == 1);
  CHECK(told[0].find("standard input: Is a directory") != std::string::npos);
}

TEST_CASE("a console that nobody reads holds up neither the time-out nor a signal") {
  REQUIRE_KVM(system);
  const ImageFile image(kFlood);
  const BlockedPipe blocked;
  {
    Program program(Program::On::kTerminal, flood(image, {"--timeout", "1s"}), blocked.ends[1]);
    CHECK(time_of([&] { CHECK(program.wait_for_end() == 1); }) < 1s + kSoon);
    CHECK_MESSAGE(program.output().find("standard output: its reader does not read") != std::string::npos,
                  program.output());
  }
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    Program program(Program::On::kTerminal, flood(image, {"--console", "drop"}), blocked.ends[1]);
    std::this_thread::sleep_for(1s);
    CHECK(is_raw(program.settings()));
    program.signal(signal);
    CHECK(time_of([&] { CHECK(program.wait_for_end() == 130); }) < kSoon);
    CHECK_MESSAGE(program.output().find("standard output: its reader does not read") != std::string::npos,
                  program.output());
    CHECK(is_cooked(program.settings()));
  }
  Program left(Program::On::kTerminal, flood(image), blocked.ends[1]);
  std::this_thread::sleep_for(1s);
  left.type("\x01x");
  CHECK(time_of([&] { CHECK(left.wait_for_end() == 0); }) < kSoon);
}

TEST_CASE("a reader that has gone and a full disk are said, and the terminal is restored") {
  REQUIRE_KVM(system);
  const ImageFile image(kFlood);
  BlockedPipe closed;
  closed.close_reader();
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  const std::vector<std::pair<int, std::string>> cases{{closed.ends[1], "Broken pipe (EPIPE)"},
                                                       {full, "No space left on device (ENOSPC)"}};
  for (const auto& [descriptor, what] : cases) {
    Program program(Program::On::kTerminal, flood(image, {"--timeout", "500ms"}), descriptor);
    CHECK(program.wait_for_end() == 3);
    const bool said = program.output().find("kvmux: standard output: " + what) != std::string::npos;
    CHECK_MESSAGE(said, program.output());
    CHECK(is_cooked(program.settings()));
  }
  ::close(full);
}

TEST_CASE("a stopped guest console gives the terminal back, a crash as well") {
  REQUIRE_KVM(system);
  for (const int signal : {SIGQUIT, SIGSEGV, SIGBUS, SIGSYS, SIGUSR2}) {
    Program program(Program::On::kTerminal, {"boot", guest_path("echo.elf"), "--mem", "8M"});
    REQUIRE_MESSAGE(program.wait_for("type something\n"), program.output());
    program.signal(signal);
    // SIGSYS is how the sandbox hears of a violation: it says so and ends with 3.
    CHECK(program.wait_for_end() == (signal == SIGSYS ? 3 : -signal));
    CHECK(is_cooked(program.settings()));
  }
}

TEST_CASE("SIGUSR1 asks for a dump, and the terminal stays the guest's") {
  REQUIRE_KVM(system);
  Program program(Program::On::kTerminal, {"boot", guest_path("echo.elf"), "--mem", "8M"});
  REQUIRE_MESSAGE(program.wait_for("type something\n"), program.output());
  program.signal(SIGUSR1);
  CHECK(program.wait_for("SIGUSR1: what the machine does"));
  CHECK(is_raw(program.settings()));
  program.type("\x01x");
  CHECK(program.wait_for_end() == 0);
}
