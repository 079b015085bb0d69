// `kvmux boot` as its user runs it: exit statuses, flags, the terminal.
#include <filesystem>
#include <fstream>
#include <set>

#include "tests/kvm/boot/program.h"
#include "tests/kvm/require_kvm.h"
#include "vmm/sandbox/sandbox.h"

using kvm_test::Finished;
using kvm_test::guest_path;
using kvm_test::Program;
using kvm_test::run_program;

namespace {

// A file that is there as long as this object.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& content) {
    const int fd = ::mkstemp(path_);
    REQUIRE(fd >= 0);
    REQUIRE(::write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
    ::close(fd);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile() { ::unlink(path_); }
  std::string path() const { return path_; }

 private:
  char path_[32] = "/tmp/kvmux-module-XXXXXX";
};

void check_multiboot(const std::string& irqchip) {
  const ScratchFile first("hello module");
  const ScratchFile second(std::string(5000, 'x'));
  const Finished guest =
      run_program({"boot", guest_path("multiboot.elf"), "--irqchip", irqchip, "--vcpus", "4", "--workers",
                   "2", "--mem", "32M", "--cmdline", "root=/dev/none quiet", "--module",
                   first.path() + " a=1", "--module", second.path(), "--timeout", "240s"});
  CHECK_MESSAGE(guest.status == 1, guest.output);  // the guest's 0
  CHECK_MESSAGE(!guest.says("FAILED"), guest.output);
  for (const std::string& line :
       {std::string("loader kvmux"), std::string("command line [root=/dev/none quiet]"),
        "module 0 [" + first.path() + " a=1] of 12 bytes, aligned 1", std::string("its bytes add up to 1210"),
        "module 1 [" + second.path() + "] of 5000 bytes, aligned 1",
        std::string("its bytes add up to 600000"),
        std::string("lower memory 639 KiB, upper memory 31744 KiB"),
        std::string("memory 100000 + 1f00000 type 1"), std::string("4 processors"),
        std::string("cpu 1 is here"), std::string("cpu 2 is here"), std::string("cpu 3 is here"),
        std::string("ok all processors started")}) {
    CHECK_MESSAGE(guest.has_line(line), line, " is missing in\n", guest.output);
  }
}

bool is_raw(const termios& t) { return (t.c_lflag & (ICANON | ECHO | ISIG)) == 0; }
bool is_cooked(const termios& t) { return (t.c_lflag & (ICANON | ECHO | ISIG)) == (ICANON | ECHO | ISIG); }

std::vector<std::string> echo(std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{"boot", guest_path("echo.elf"), "--mem", "8M"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

TEST_CASE("a Multiboot image gets command line, modules and memory map, and starts its processors") {
  REQUIRE_KVM(system);
  check_multiboot("user");
}

TEST_CASE("a Multiboot image starts its processors with the LAPICs inside KVM") {
  REQUIRE_KVM(system);
  REQUIRE_OR_SKIP(system.capabilities().has(KVM_CAP_SPLIT_IRQCHIP), "no KVM_CAP_SPLIT_IRQCHIP");
  check_multiboot("split");
}

TEST_CASE("--symbols names where vCPUs were found, and is refused by name if it is something else") {
  REQUIRE_KVM(system);
  const ScratchFile map("0000000000100000 T all_of_the_image\n");
  const std::string smp = guest_path("smp8.elf");
  const Finished named = run_program({"boot", smp, "--vcpus", "8", "--workers", "1", "--mem", "64M", "--symbols",
                                      map.path(), "--timeout", "240s"});
  CHECK_MESSAGE(named.status == 1, named.output);  // the guest's 0
  CHECK_MESSAGE(named.says(" times in all_of_the_image 100 %"), named.output);
  const Finished plain =
      run_program({"boot", smp, "--vcpus", "8", "--workers", "1", "--mem", "64M", "--timeout", "240s"});
  CHECK_MESSAGE(!plain.says("vCPUs were"), plain.output);
  const ScratchFile text("nothing of what is accepted as symbols");
  const Finished refused = run_program({"boot", smp, "--symbols", text.path()});
  CHECK_MESSAGE(refused.status == 2, refused.output);
  CHECK_MESSAGE(refused.says("--symbols: " + text.path() + ": this is a text file; accepted are"), refused.output);
}

// The writers of outputs are older than the sandbox, the workers and what watches them younger.
TEST_CASE("no thread is without a filter while a guest runs") {
  REQUIRE_KVM(system);
  REQUIRE_OR_SKIP(vmm::sandbox::is_on(), "no sandbox here");
  Program program(Program::On::kPipe, echo({"--workers", "2"}));
  REQUIRE(program.wait_for("type something"));
  std::set<std::string> kinds;
  const std::string tasks = "/proc/" + std::to_string(program.pid()) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks)) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    kinds.insert(name.substr(0, name.find_first_of("0123456789")));
    std::ifstream status(task.path() / "status");
    int mode = -1;
    for (std::string word; status >> word;) {
      if (word == "Seccomp:") status >> mode;
    }
    CHECK_MESSAGE(mode == 2, name);
  }
  std::erase_if(
      kinds, [](const std::string& name) { return name.starts_with("kvm-"); });  // KVM's own, for the process
  kinds.erase("kvmux-c");  // a vCPU's, where moves are dear
  CHECK(kinds == std::set<std::string>{"kvmux", "kvmux-w", "kvmux-watch", "kvmux-writer"});
  program.signal(SIGTERM);
  CHECK(program.wait_for_end() == 130);
}

TEST_CASE("the guest's exit status is kvmux's") {
  REQUIRE_KVM(system);
  const Finished guest = run_program({"boot", guest_path("flat.bin"), "--mem", "4M"});
  CHECK(guest.has_line("real mode says hello"));
  CHECK(guest.status == 0x81);  // 40H: nothing was wrong
}

TEST_CASE("a guest that runs too long is ended by --timeout") {
  REQUIRE_KVM(system);
  const Finished guest = run_program(echo({"--timeout", "300ms"}));
  CHECK(guest.status == 1);
  CHECK_MESSAGE(guest.says("kvmux: --timeout: the guest was still running after 0.3 s"), guest.output);
}

TEST_CASE("policies that look at IPIs are refused with split, and why") {
  for (const char* policy : {"v2", "kvmux", "yield"}) {
    const Finished refused = run_program(echo({"--irqchip", "split", "--policy", policy}));
    CHECK(refused.status == 2);
    CHECK_MESSAGE(refused.says("--irqchip split: the policy '" + std::string(policy) + "'"), refused.output);
    CHECK(refused.says("accepted with split are host and host-kvm"));
  }
}

TEST_CASE("images and flags that cannot be are refused with status 2") {
  const std::string directory = KVMUX_TEST_GUESTS;
  const ScratchFile cut_off(
      std::string("\x7f"
                  "ELF",
                  4));
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"boot"}, "image is required"},
      {{"boot", directory + "/none"}, "none"},
      {{"boot", cut_off.path()}, "load ELF image"},
      {{"boot", guest_path("flat.bin"), "--format", "multiboot"}, "no Multiboot header"},
      {{"boot", guest_path("flat.bin"), "--format", "linux"}, "setup header"},
      {{"boot", guest_path("flat.bin"), "--load-at", "0xa0000"}, "not in the guest's memory"},
      {{"boot", guest_path("echo.elf"), "--mem", "1M"}, "--mem"},
      {{"boot", guest_path("echo.elf"), "--irqchip", "none"}, "--irqchip"},
      {{"boot", guest_path("echo.elf"), "--cpu-profile", "most"}, "--cpu-profile"},
      {{"boot", guest_path("echo.elf"), "--module", directory + "/none"}, "none"},
      {{"boot", guest_path("linux.bin"), "--initrd", cut_off.path(), "--initrd", cut_off.path()},
       "one initrd"},
  };
  for (const auto& [arguments, says] : cases) {
    const Finished refused = run_program(arguments);
    const auto& part = says;  // C++20 lambdas capture no bindings before clang 16, and CAPTURE makes one
    CAPTURE(part);
    CHECK_MESSAGE(refused.status == 2, refused.output);
    CHECK_MESSAGE(refused.says(part), refused.output);
  }
}

TEST_CASE("the terminal is the guest's, Ctrl-C included, until Ctrl-A X") {
  REQUIRE_KVM(system);
  Program program(Program::On::kTerminal, echo());
  REQUIRE_MESSAGE(program.wait_for("type something\n"), program.output());
  CHECK(is_raw(program.settings()));
  program.type("a");
  CHECK(program.wait_for("got 97\n"));
  program.type("\x03");
  CHECK(program.wait_for("got 3\n"));
  program.type("\x01\x01");
  CHECK(program.wait_for("got 1\n"));
  program.type("\x01x");
  CHECK(program.wait_for_end() == 0);
  CHECK(is_cooked(program.settings()));
}

TEST_CASE("with the LAPICs inside KVM the ends of level-triggered interrupts reach the IOAPIC") {
  REQUIRE_KVM(system);
  REQUIRE_OR_SKIP(system.capabilities().has(KVM_CAP_SPLIT_IRQCHIP), "no KVM_CAP_SPLIT_IRQCHIP");
  Program program(Program::On::kTerminal, echo({"--irqchip", "split"}));
  REQUIRE_MESSAGE(program.wait_for("type something\n"), program.output());
  for (const int key : {'a', 'b', 'c'}) {  // the second comes only if the first one's EOI did
    program.type(std::string(1, static_cast<char>(key)));
    CHECK(program.wait_for("got " + std::to_string(key) + "\n"));
  }
  program.type("q");
  CHECK(program.wait_for_end() == 1);
}

TEST_CASE("the terminal is put back when the guest ends, and when kvmux is told to end") {
  REQUIRE_KVM(system);
  Program ends(Program::On::kTerminal, echo());
  REQUIRE_MESSAGE(ends.wait_for("type something\n"), ends.output());
  ends.type("q");
  CHECK(ends.wait_for_end() == 1);
  CHECK(is_cooked(ends.settings()));
  Program told(Program::On::kTerminal, echo());
  REQUIRE_MESSAGE(told.wait_for("type something\n"), told.output());
  told.signal(SIGTERM);
  CHECK(told.wait_for_end() == 130);
  CHECK(is_cooked(told.settings()));
  Program crashes(Program::On::kTerminal, echo());
  REQUIRE_MESSAGE(crashes.wait_for("type something\n"), crashes.output());
  crashes.signal(SIGABRT);
  CHECK(crashes.wait_for_end() == -SIGABRT);
  CHECK(is_cooked(crashes.settings()));
}
