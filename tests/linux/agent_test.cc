// The agent of Linux guests as a process of this machine, behind a pty instead of a serial port: it neither
// mounts nor powers off then. What needs a guest's kernel and programs: tests/hw/linux_loads.sh.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "tests/linux/talk.h"

using namespace std::chrono_literals;
using linux_test::Talk;

namespace {

// An agent that runs, and the host's end of its line.
class Agent {
 public:
  explicit Agent(const std::string& load) {
    int slave = -1;
    REQUIRE(::openpty(&master_, &slave, nullptr, nullptr, nullptr) == 0);
    const std::string port = ::ttyname(slave);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::execl(KVMUX_LINUX_AGENT, KVMUX_LINUX_AGENT, "--port", port.c_str(), "--load", load.c_str(), nullptr);
      ::_exit(127);
    }
    slave_ = slave;  // open as long as the agent may write: a pty forgets what nobody holds
  }
  ~Agent() {
    if (pid_ > 0) (void)end();
    ::close(slave_);
    ::close(master_);
  }
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  int fd() const { return master_; }
  // Its status: 0 after stop, 1 after an error.
  int end() {
    int status = 0;
    for (int i = 0; i < 500 && pid_ > 0; ++i) {
      if (::waitpid(pid_, &status, WNOHANG) == pid_) pid_ = -1;
      if (pid_ > 0) ::usleep(10'000);
    }
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, &status, 0);
      pid_ = -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  int master_ = -1;
  int slave_ = -1;
  pid_t pid_ = -1;
};

Talk talk_to(Agent& agent, const std::string& load) {
  return linux_test::talk(agent.fd(), load, 5s, 300ms, 20s);
}

std::string failure_of(const std::string& load) {
  Agent agent(load);
  const Talk talk = talk_to(agent, load);
  CHECK(agent.end() == 1);
  return talk.failure;
}

}  // namespace

TEST_CASE("linux agent: busy threads are counted in the guest's own time") {
  Agent agent("busy:2");
  const Talk talk = talk_to(agent, "busy:2");
  REQUIRE(talk.failure.empty());
  CHECK(talk.second.operations > talk.first.operations);
  const auto window = talk.second.at - talk.first.at;
  CHECK(window >= 250ms);
  CHECK(talk.second.now - talk.second.at < 1s);
  CHECK(talk.second.steal.size() == static_cast<size_t>(::sysconf(_SC_NPROCESSORS_ONLN)));
  CHECK(talk.second.latencies.empty());
  CHECK(agent.end() == 0);
}

TEST_CASE("linux agent: idle answers as well") {
  Agent agent("idle");
  const Talk talk = linux_test::talk(agent.fd(), "idle", 0s, 50ms, 20s);
  CHECK(talk.failure.empty());
  CHECK(talk.second.operations == 0);
  CHECK(agent.end() == 0);
}

TEST_CASE("linux agent: what cannot run is an error with a reason") {
  CHECK(failure_of("tralala") == "ready: the agent reports: this agent knows no load 'tralala'");
  CHECK(failure_of("idle:3") == "ready: the agent reports: idle takes no number");
  CHECK(failure_of("busy:0") == "ready: the agent reports: a load's number cannot be '0'");
  if (::access("/usr/bin/dbench", X_OK) != 0) {
    CHECK(failure_of("dbench:2").find("/usr/bin/dbench is not in this image") != std::string::npos);
  }
}

TEST_CASE("linux agent: a host that does not keep to the protocol is told so") {
  Agent agent("idle");
  vmm::linux_guest::Session session("idle");
  const auto read_on = [&] {
    uint8_t bytes[256];
    const ssize_t got = ::read(agent.fd(), bytes, sizeof bytes);
    if (got > 0) session.receive({bytes, static_cast<size_t>(got)});
  };
  while (session.state() == vmm::linux_guest::SessionState::kBooting) read_on();
  REQUIRE(::write(agent.fd(), "count 1\n", 8) == 8);  // before go
  while (session.why().empty()) read_on();
  CHECK(session.why() == "the agent reports: the host wrote 'count 1'");
  CHECK(agent.end() == 1);
}
