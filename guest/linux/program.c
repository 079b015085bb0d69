#define _GNU_SOURCE
#include "guest/linux/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "guest/linux/agent.h"

static const struct program* current;
static pid_t child = -1;
static int output = -1, input = -1;
static char buffer[4096];
static size_t filled;
static char last_words[160];

int program_fd(void) { return output; }
int program_stdin(void) { return input; }

void program_check(const char* path) {
  if (access(path, X_OK) != 0)
    give_up("%s is not in this image; build one with it: kvmux linux-image --load", path);
}

static void become(const struct program* program, int write_end, int read_end) {
  setpgid(0, 0);
  const int null = open("/dev/null", O_RDWR);
  dup2(read_end >= 0 ? read_end : null, STDIN_FILENO);
  dup2(program->quiet ? null : write_end, STDOUT_FILENO);
  dup2(write_end, STDERR_FILENO);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_DFL);
  const int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file >= 0 && write(file, "0", 1) < 0) dprintf(STDERR_FILENO, "oom_score_adj\n");
  execv(program->argv[0], (char* const*)program->argv);
  dprintf(STDERR_FILENO, "%s: %s\n", program->argv[0], strerror(errno));
  _exit(127);
}

/* What the program writes to and where that is read: 0 if there is such a pair. */
static int open_terminal(int out[2]) {
  out[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (out[0] < 0 || grantpt(out[0]) != 0 || unlockpt(out[0]) != 0) return -1;
  out[1] = open(ptsname(out[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
  struct termios settings;
  if (out[1] < 0 || tcgetattr(out[1], &settings) != 0) return -1;
  cfmakeraw(&settings);
  return tcsetattr(out[1], TCSANOW, &settings);
}

void program_start(const struct program* program) {
  int out[2], in[2] = {-1, -1};
  if ((program->terminal ? open_terminal(out) : pipe2(out, O_CLOEXEC)) != 0 ||
      (program->input && pipe2(in, O_CLOEXEC) != 0))
    give_up("pipe: %s", strerror(errno));
  child = fork();
  if (child < 0) give_up("fork: %s", strerror(errno));
  if (child == 0) become(program, out[1], in[0]);
  setpgid(child, child); /* whoever comes first */
  close(out[1]);
  if (in[0] >= 0) close(in[0]);
  output = out[0];
  input = in[1];
  (void)fcntl(output, F_SETFL, O_NONBLOCK);
  current = program;
  filled = 0;
  last_words[0] = '\0';
}

static void whole_line(const char* line) {
  if (*line == '\0') return;
  snprintf(last_words, sizeof last_words, "%.*s", (int)sizeof last_words - 1, line);
  if (current->line != NULL) current->line(line);
}

/* Lines end with '\n' or '\r'; what is longer than the buffer comes in pieces. */
static void take_lines(void) {
  size_t start = 0;
  for (size_t i = 0; i < filled; ++i) {
    if (buffer[i] != '\n' && buffer[i] != '\r') continue;
    buffer[i] = '\0';
    whole_line(buffer + start);
    start = i + 1;
  }
  filled -= start;
  memmove(buffer, buffer + start, filled);
  if (filled == sizeof buffer - 1) {
    buffer[filled] = '\0';
    whole_line(buffer);
    filled = 0;
  }
}

void program_input(void) {
  while (output >= 0) {
    const ssize_t got = read(output, buffer + filled, sizeof buffer - 1 - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno != EIO) return;
    if (got <= 0) { /* a terminal that nobody writes to any more says EIO */
      close(output);
      output = -1;
      return;
    }
    filled += (size_t)got;
    take_lines();
  }
}

static void end(void) {
  if (output >= 0) close(output);
  if (input >= 0) close(input);
  output = input = -1;
  child = -1;
}

static void ended(int status) {
  program_input(); /* its last words */
  end();
  const char* name = strrchr(current->argv[0], '/') + 1;
  if (WIFSIGNALED(status)) give_up("%s was killed by signal %d: %s", name, WTERMSIG(status), last_words);
  if (WEXITSTATUS(status) != 0)
    give_up("%s failed with status %d: %s", name, WEXITSTATUS(status), last_words);
  if (current->finished == NULL) give_up("%s ended by itself: %s", name, last_words);
  current->finished();
}

void program_reap(void) {
  int status;
  pid_t pid;
  /* As init, others' orphans too. */
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid == child) ended(status);
  }
}

void program_run_once(const struct program* program) {
  program_start(program);
  for (int status = 0; child >= 0;) {
    struct pollfd readable = {.fd = output, .events = POLLIN};
    (void)poll(&readable, 1, 20);
    program_input();
    if (waitpid(child, &status, WNOHANG) == child) ended(status);
  }
}

void program_kill(void) {
  if (child < 0) return;
  kill(-child, SIGKILL);
  (void)waitpid(child, NULL, 0);
  end();
}
