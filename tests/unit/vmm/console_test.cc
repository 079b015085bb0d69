#include "vmm/device/console.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <string>
#include <vector>

using vmm::Console;
using vmm::VcpuIndex;
using vmm::VmId;

using namespace std::string_view_literals;

namespace {

struct Screen {
  std::vector<std::string> lines;
  Console console{[this](std::string_view line) { lines.emplace_back(line); }};

  void put(uint32_t vm, uint32_t vcpu, std::string_view bytes) {
    console.put(VmId{vm}, VcpuIndex{vcpu}, bytes);
  }
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("lines of VMs and vCPUs that are written byte by byte do not mix") {
  Screen s;
  const std::string a = "first\n";
  const std::string b = "other\n";
  for (size_t i = 0; i < a.size(); ++i) {
    s.put(0, 0, a.substr(i, 1));
    s.put(0, 1, b.substr(i, 1));
    s.put(1, 0, b.substr(i, 1));
  }
  CHECK(s.lines == Lines{"vm0/vcpu0| first\n", "vm0/vcpu1| other\n", "vm1/vcpu0| other\n"});
}

TEST_CASE("carriage returns vanish, empty lines stay") {
  Screen s;
  s.put(0, 0, "a\r\n\r\nb\n");
  CHECK(s.lines == Lines{"vm0/vcpu0| a\n", "vm0/vcpu0| \n", "vm0/vcpu0| b\n"});
}

TEST_CASE("control characters cannot reach the terminal, UTF-8 can") {
  Screen s;
  s.put(0, 0, "\x1b[2J\a\0\x7f\tä\n"sv);
  CHECK(s.lines == Lines{"vm0/vcpu0| .[2J...\tä\n"});
}

TEST_CASE("a line without end goes out in bounded pieces") {
  Screen s;
  s.put(3, 4, std::string(Console::kMaxLine, 'x'));
  CHECK(s.lines.empty());
  s.put(3, 4, "\n");
  CHECK(s.lines == Lines{"vm3/vcpu4| " + std::string(Console::kMaxLine, 'x') + "\n"});
  s.put(3, 4, std::string(2 * Console::kMaxLine + 1, 'y'));
  CHECK(s.lines.size() == 3);
}

TEST_CASE("a message is a line of its own") {
  Screen s;
  s.put(0, 0, "begun");
  s.console.line(VmId{0}, VcpuIndex{0}, "message");
  s.console.line(VmId{0}, VcpuIndex{0}, "two\nlines\n");
  s.console.line(VmId{0}, VcpuIndex{0}, "");
  CHECK(s.lines == Lines{"vm0/vcpu0| begun\n", "vm0/vcpu0| message\n", "vm0/vcpu0| two\n",
                         "vm0/vcpu0| lines\n", "vm0/vcpu0| \n"});
}

TEST_CASE("the end of a VM shows its unfinished lines and no others") {
  Screen s;
  s.put(0, 0, "zero");
  s.put(1, 0, "one a");
  s.put(1, 7, "one b");
  s.put(2, 0, "two");
  s.console.finish(VmId{1});
  CHECK(s.lines == Lines{"vm1/vcpu0| one a\n", "vm1/vcpu7| one b\n"});
  s.console.finish(VmId{1});
  CHECK(s.lines.size() == 2);
}

TEST_CASE("the file sink writes whole lines and survives a closed reader") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const auto sink = vmm::write_lines_to(ends[1]);
  sink("hello\n");
  char buffer[16];
  CHECK(::read(ends[0], buffer, sizeof(buffer)) == 6);
  CHECK(std::string_view(buffer, 6) == "hello\n");
  ::close(ends[0]);
  ::close(ends[1]);
  sink("nobody listens\n");
}
