/* The agent in a Linux guest: prepares one load, says ready, runs it from `go` to `stop`, and answers `count`
 * at once.
 *
 * As init it takes its load from the kernel's command line and the port that protocol.h names; else
 *   kvmux-linux-agent --port PATH --load LOAD
 */
#define _GNU_SOURCE
#include "guest/linux/agent.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "guest/linux/load.h"
#include "guest/linux/program.h"
#include "guest/linux/protocol.h"

static const struct {
  const char* name;
  const struct load* load;
} kLoads[] = {
#define KVMUX_LINUX_LOAD(symbol, name, argument, programs, operation) {name, &load_##symbol},
#include "guest/linux/loads.h"
#undef KVMUX_LINUX_LOAD
};

static const struct load* load;
static int running;

static void choose(const char* text) {
  const size_t length = strcspn(text, ":");
  for (size_t i = 0; i < sizeof kLoads / sizeof kLoads[0]; ++i) {
    if (strlen(kLoads[i].name) != length || strncmp(kLoads[i].name, text, length) != 0) continue;
    load = kLoads[i].load;
    load->prepare(text[length] == ':' ? text + length + 1 : "");
    return;
  }
  give_up("this agent knows no load '%s'", text);
}

static void answer(const char* number) {
  static char line[KVMUX_LINUX_LINE_MAX + 1];
  static uint64_t steal[KVMUX_LINUX_CPUS_MAX];
  uint64_t operations, at;
  program_input(); /* what has been reported by now counts */
  load->read(&operations, &at);
  const size_t cpus = machine_steal(steal, KVMUX_LINUX_CPUS_MAX);
  if (cpus == 0) give_up("/proc/stat cannot be read");
  size_t end = (size_t)snprintf(
      line, sizeof line,
      "counters %s ops=%" PRIu64 " at=%" PRIu64 " now=%" PRIu64 " tick=%" PRIu64 " steal=", number,
      operations, at, machine_now(), machine_tick());
  for (size_t i = 0; i < cpus; ++i) {
    end += (size_t)snprintf(line + end, sizeof line - end, i == 0 ? "%" PRIu64 : ",%" PRIu64, steal[i]);
  }
  (void)latency_take(line + end, sizeof line - end);
  port_say(line);
}

static void obey(const char* line) {
  if (strcmp(line, "go") == 0 && !running) {
    running = 1;
    load->go();
  } else if (strncmp(line, "count ", 6) == 0 && running &&
             strspn(line + 6, "0123456789") == strlen(line + 6) && strlen(line) < 30) {
    answer(line + 6);
  } else if (strcmp(line, "stop") == 0) {
    program_kill();
    port_say("ended");
    machine_end();
  } else {
    give_up("the host wrote '%s'", line);
  }
}

static int watch_children(void) {
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, NULL);
  signal(SIGPIPE, SIG_IGN);
  const int fd = signalfd(-1, &children, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd < 0) give_up("signalfd: %s", strerror(errno));
  return fd;
}

static void serve(int children) __attribute__((noreturn));
static void serve(int children) {
  for (;;) {
    struct pollfd watched[] = {{.fd = port_fd(), .events = POLLIN},
                               {.fd = children, .events = POLLIN},
                               {.fd = program_fd(), .events = POLLIN}};
    (void)poll(watched, 3, -1); /* an fd of -1 is skipped */
    char line[128];
    while (watched[0].revents != 0 && port_line(line, sizeof line)) obey(line);
    struct signalfd_siginfo ended;
    if (watched[1].revents != 0) {
      while (read(children, &ended, sizeof ended) > 0) continue;
      program_reap();
    }
    if (watched[2].revents != 0) program_input();
  }
}

int main(int argc, char** argv) {
  const char* port = "/dev/" KVMUX_LINUX_PORT;
  char text[KVMUX_LINUX_LOAD_MAX + 1] = "";
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--port") == 0) port = argv[i + 1];
    if (strcmp(argv[i], "--load") == 0) snprintf(text, sizeof text, "%s", argv[i + 1]);
  }
  machine_start();
  port_open(port);
  if (text[0] == '\0' && command_line_value(KVMUX_LINUX_PARAMETER, text, sizeof text) != 0) {
    give_up("the kernel's command line names no load: %s=", KVMUX_LINUX_PARAMETER);
  }
  machine_prefer_agent();
  const int children = watch_children();
  char hello[sizeof text + 32];
  snprintf(hello, sizeof hello, "hello %u %s", KVMUX_LINUX_VERSION, text);
  port_say(hello);
  choose(text);
  port_say("ready");
  serve(children);
}
