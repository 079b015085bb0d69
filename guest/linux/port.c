/* The second serial port as lines of text, without a terminal's ways: no echo, no translation, no signals. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "guest/linux/agent.h"

static int fd = -1;
static char pending[256]; /* the host's lines are short */
static size_t filled;

int port_fd(void) { return fd; }

void port_open(const char* path) {
  const int port = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (port < 0) give_up("%s: %s", path, strerror(errno));
  struct termios settings;
  if (tcgetattr(port, &settings) != 0) give_up("%s: no serial port: %s", path, strerror(errno));
  cfmakeraw(&settings);
  settings.c_cflag |= CLOCAL | CREAD;
  cfsetspeed(&settings, B115200);
  if (tcsetattr(port, TCSANOW, &settings) != 0) give_up("%s: %s", path, strerror(errno));
  fd = port;
}

static void put(const char* text, size_t length) {
  while (length > 0) {
    const ssize_t written = write(fd, text, length);
    if (written > 0) {
      text += written;
      length -= (size_t)written;
      continue;
    }
    if (written < 0 && errno != EAGAIN && errno != EINTR) machine_end(); /* nobody is there to be told */
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    (void)poll(&room, 1, 1000);
  }
}

void port_say(const char* line) {
  put(line, strlen(line));
  put("\n", 1);
}

/* The first line of `pending`, if it has a whole one. */
static int take(char* line, size_t size) {
  char* end = memchr(pending, '\n', filled);
  if (end == NULL) return 0;
  const size_t length = (size_t)(end - pending);
  if (length >= size) give_up("the host's line is too long");
  memcpy(line, pending, length);
  line[length] = '\0';
  filled -= length + 1;
  memmove(pending, end + 1, filled);
  return 1;
}

int port_line(char* line, size_t size) {
  while (!take(line, size)) {
    if (filled == sizeof pending) give_up("the host's line is too long");
    const ssize_t got = read(fd, pending + filled, sizeof pending - filled);
    if (got == 0 || (got < 0 && errno == EIO))
      machine_end(); /* the other end is gone: not a serial port's way */
    if (got < 0) return 0;
    filled += (size_t)got;
  }
  return 1;
}
