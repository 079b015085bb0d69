// Break-outs from the program's own threads: a worker and a vCPU's thread while they handle a guest's exit,
// the device loop while it takes a typed byte, a loader. The tests stand in for the code that a guest took
// over: a board, a console's filter and a parser that break out.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <array>
#include <optional>
#include <string_view>
#include <thread>

#include "sched/policy/parse.h"
#include "tests/kvm/code_vm.h"
#include "tests/kvm/guest_code.h"
#include "tests/kvm/require_kvm.h"
#include "tests/sandbox/broken_out.h"
#include "vmm/output/outlet.h"
#include "vmm/platform/boot.h"
#include "vmm/run/host_machine.h"
#include "vmm/run/machine.h"
#include "vmm/run/ring.h"
#include "vmm/sandbox/ring_limits.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/sandbox/violation.h"

using namespace vmm;
using sandbox_test::Ending;
using sandbox_test::in_child;

namespace {

GUEST_CODE(rings_once, GUEST_BELL_IN_RBX "1: movq $0, (%rbx)\n jmp 1b");

using Act = void (*)();
void open_file() { ::syscall(SYS_open, "/etc/passwd", O_RDONLY); }
void make_socket() { ::socket(AF_INET, SOCK_STREAM, 0); }
void make_vm() {
  for (int fd = 0; fd < 64; ++fd) ::ioctl(fd, KVM_CREATE_VM, 0);  // whichever /dev/kvm is
}
constexpr std::pair<const char*, Act> kActs[] = {
    {"open", open_file}, {"socket", make_socket}, {"ioctl", make_vm}};

class BrokenBoard final : public Board {
 public:
  explicit BrokenBoard(Act act) : act_(act) {}
  Next mmio_write(Vcpu&, Gpa, std::span<const uint8_t>) override {
    act_();
    ::_exit(sandbox_test::kStillFree);
  }
  void ipi(Vcpu&, const apic::IpiRequest&) override {}
  void end_of_interrupt(Vcpu&, const apic::EndOfInterrupt&) override {}
  Next port_read(Vcpu&, uint16_t, std::span<uint8_t>) override { return Next::kStopVm; }
  Next port_write(Vcpu&, uint16_t, std::span<const uint8_t>) override { return Next::kStopVm; }
  Next mmio_read(Vcpu&, Gpa, std::span<uint8_t>) override { return Next::kStopVm; }
  bool complete_instruction(Vcpu&) override { return false; }
  void fail(const Vcpu&, const std::string&) override { ::_exit(90); }

 private:
  const Act act_;
};

sched::Setup one_worker() {
  sched::Setup setup;
  setup.workers = 1;
  sched::VmSetup vm;
  vm.vcpus = 1;
  vm.policy = *sched::parse_policy("fair");
  setup.vms.push_back(std::move(vm));
  return setup;
}

// A guest whose first doorbell runs into `act`; with a worker of ours or a thread of its own.
void run_into(Engine& engine, const System& system, Act act) {
  auto vm = kvm_test::make_code_vm(system, rings_once(), 1);
  if (!vm) ::_exit(91);
  BrokenBoard board(act);
  engine.add({vm->get(), &board});
  if (!engine.start()) ::_exit(92);
  std::this_thread::sleep_for(std::chrono::seconds(20));
  ::_exit(93);
}

// Of the one ring that this process has.
int ring_descriptor() {
  for (int fd = 0; fd < 256; ++fd) {
    std::array<char, 64> link{};
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    if (::readlink(path.c_str(), link.data(), link.size() - 1) <= 0) continue;
    if (std::string_view(link.data()) == "anon_inode:[io_uring]") return fd;
  }
  return -1;
}

void check_refused(const Ending& ending, const std::string& call, const std::string& kind) {
  CAPTURE(ending.said);
  CHECK(ending.status == sandbox::kViolationStatus);
  CHECK(ending.said.find("called " + call + " (") != std::string::npos);
  CHECK(ending.said.find("(" + kind + ")") != std::string::npos);
}

#define REQUIRE_SANDBOX REQUIRE_OR_SKIP(sandbox::is_on(), sandbox::state().why_off)

// 16-bit code: waits for ever.
constexpr std::array<std::byte, 3> kWaits{std::byte{0xf4}, std::byte{0xeb}, std::byte{0xfd}};

}  // namespace

TEST_CASE("a worker that handles an exit is refused") {
  REQUIRE_SANDBOX;
  REQUIRE_KVM(system);
  for (const auto& [call, act] : kActs) {
    const Ending ending = in_child([&, act = act] {
      Machine machine(one_worker(), Nanos{});
      run_into(machine, system, act);
    });
    check_refused(ending, call, "worker");
    CHECK(ending.said.find("thread kvmux-w0 ") != std::string::npos);
  }
}

TEST_CASE("a vCPU's thread that handles an exit is refused") {
  REQUIRE_SANDBOX;
  REQUIRE_KVM(system);
  for (const auto& [call, act] : kActs) {
    const Ending ending = in_child([&, act = act] {
      HostMachine machine(HostMode{}, 1);
      run_into(machine, system, act);
    });
    check_refused(ending, call, "vCPU thread");
  }
}

TEST_CASE("the device loop is refused") {
  REQUIRE_SANDBOX;
  REQUIRE_KVM(system);
  for (const auto& [call, act] : kActs) {
    const Ending ending = in_child([act = act] {
      std::array<int, 2> ends{};
      if (::pipe(ends.data()) != 0 || ::write(ends[1], "x", 1) != 1) ::_exit(91);
      BootSpec spec;
      spec.image.file = kWaits;
      spec.memory_bytes = uint64_t{4} << 20;
      spec.policy = *sched::parse_policy("fair");
      spec.timeout = std::chrono::seconds(20);
      spec.confine_caller = true;
      BootConsole console;
      console.output = [](std::span<const uint8_t>) {};
      console.input = ends[0];
      console.filter = [act](std::span<const uint8_t>, std::vector<uint8_t>&) {
        act();
        ::_exit(sandbox_test::kStillFree);
        return true;
      };
      std::atomic<bool> stop{false};
      static_cast<void>(boot(spec, console, stop));
      ::_exit(92);
    });
    check_refused(ending, call, "device");
  }
}

TEST_CASE("a loader is refused") {
  REQUIRE_SANDBOX;
  for (const auto& [call, act] : kActs) {
    const Ending ending = in_child([act = act] {
      static_cast<void>(sandbox::in_loader([act] {
        act();
        return Result<void>{};
      }));
    });
    check_refused(ending, call, "loader");
  }
}

TEST_CASE("an outlet's writer is refused, whether it is older than the sandbox or not") {
  REQUIRE_SANDBOX;
  for (const bool older : {true, false}) {
    for (const auto& [call, act] : kActs) {
      const Ending ending = in_child([older, act = act] {
        std::array<int, 2> ends{};
        if (::pipe(ends.data()) != 0) ::_exit(91);
        std::optional<Outlet> outlet;
        if (older) outlet.emplace(ends[1]);
        if (!sandbox::confine_process({})) ::_exit(92);
        if (older) {
          outlet->confine();
        } else {
          outlet.emplace(ends[1]);
        }
        outlet->when_ready(act);  // runs on the writer
        while (outlet->ready(1)) outlet->put("x");
        std::this_thread::sleep_for(std::chrono::seconds(20));
        ::_exit(93);
      });
      CAPTURE(older);
      check_refused(ending, call, "writer");
      CHECK(ending.said.find("thread kvmux-writer ") != std::string::npos);
    }
  }
}

// As code that took over a worker would: the ring's own queues, mapped by its descriptor.
TEST_CASE("the ring that workers sleep on is limited") {
  REQUIRE_SANDBOX;
  const auto loop = EventLoop::create(EventLoopKind::kIoUring);
  REQUIRE_OR_SKIP(loop, loop.error().text());
  const int fd = ring_descriptor();
  REQUIRE(fd >= 0);
  io_uring_params like{};
  io_uring twin{};  // its layout is the other's
  like.flags = sandbox::kDisabledRing;
  REQUIRE(io_uring_queue_init_params(Ring::kEntries, &twin, &like) == 0);
  io_uring ring{};
  REQUIRE(io_uring_queue_mmap(fd, &like, &ring) == 0);
  io_uring_sqe* sqe = io_uring_get_sqe(&ring);
  REQUIRE(sqe != nullptr);
  io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
  io_uring_submit(&ring);
  io_uring_cqe* cqe = nullptr;
  REQUIRE(io_uring_peek_cqe(&ring, &cqe) == 0);
  CHECK(cqe->res == -EACCES);
  const int files[] = {0};
  CHECK(::syscall(SYS_io_uring_register, fd, IORING_REGISTER_FILES, files, 1) == -1);
  CHECK(errno == EACCES);
  io_uring_queue_exit(&twin);
}

TEST_CASE("a worker's ring opens no files") {
  REQUIRE_SANDBOX;
  io_uring ring{};
  REQUIRE(io_uring_queue_init(4, &ring, sandbox::kDisabledRing) == 0);
  REQUIRE(sandbox::limit_ring(ring));
  const auto result_of = [&ring](auto prepare) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring);
    prepare(sqe);
    io_uring_submit(&ring);
    io_uring_cqe* cqe = nullptr;
    REQUIRE(io_uring_wait_cqe(&ring, &cqe) == 0);
    const int result = cqe->res;
    io_uring_cqe_seen(&ring, cqe);
    return result;
  };
  CHECK(result_of([](io_uring_sqe* sqe) {
          io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
        }) == -EACCES);
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  REQUIRE(::write(ends[1], "x", 1) == 1);
  CHECK(result_of([&](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, ends[0], POLL_IN); }) > 0);
  ::close(ends[0]);
  ::close(ends[1]);
  io_uring_queue_exit(&ring);
}
