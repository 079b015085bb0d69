/* What init does, and what the kernel says of the machine. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "guest/linux/agent.h"
#include "guest/linux/protocol.h"

static int is_init(void) { return getpid() == 1; }

static void mount_at(const char* type, const char* path, const char* options) {
  mkdir(path, 0755); /* may be there */
  /* Busy: the kernel mounts devtmpfs by itself where it is configured to. */
  if (mount(type, path, type, 0, options) != 0 && errno != EBUSY)
    fprintf(stderr, "kvmux agent: mount %s: %s\n", path, strerror(errno));
}

void machine_start(void) {
  if (!is_init()) return;
  mount_at("proc", "/proc", "");
  mount_at("sysfs", "/sys", "");
  mount_at("devtmpfs", "/dev", "");
  mount_at("devpts", "/dev/pts", "");
  mount_at("tmpfs", "/dev/shm", "");
  mount_at("tmpfs", "/tmp", "");
  mkdir("/run", 0755);
  setenv("PATH", "/usr/bin:/bin", 1);
  setenv("HOME", "/tmp", 1);
  setenv("LC_ALL", "C", 1);
}

void machine_end(void) {
  if (!is_init()) _exit(0);
  /* What was written to the port leaves it before the power does. */
  usleep(100000);
  sync();
  reboot(RB_POWER_OFF);
  for (;;) pause();
}

void give_up(const char* format, ...) {
  char line[KVMUX_LINUX_TEXT_MAX + 1];
  const size_t head = (size_t)snprintf(line, sizeof line, "error ");
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line + head, sizeof line - head, format, arguments);
  va_end(arguments);
  for (char* c = line; *c != '\0'; ++c) {
    if (*c < 0x20 || *c > 0x7e) *c = ' ';
  }
  fprintf(stderr, "kvmux agent: %s\n", line);
  if (port_fd() >= 0) port_say(line);
  if (!is_init()) _exit(1);
  machine_end();
}

int command_line_value(const char* key, char* value, size_t size) {
  char text[4096];
  FILE* file = fopen("/proc/cmdline", "re");
  if (file == NULL) return -1;
  const size_t length = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[length] = '\0';
  const size_t key_length = strlen(key);
  int found = -1;
  char* rest = NULL;
  for (char* word = strtok_r(text, " \n", &rest); word != NULL; word = strtok_r(NULL, " \n", &rest)) {
    if (strncmp(word, key, key_length) != 0 || word[key_length] != '=') continue;
    const char* given = word + key_length + 1;
    if (strlen(given) >= size) return -1;
    strcpy(value, given); /* the last one counts, as with the kernel's own */
    found = 0;
  }
  return found;
}

unsigned machine_cpus(void) {
  const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  return cpus < 1 ? 1 : (unsigned)cpus;
}

uint64_t machine_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t machine_tick(void) {
  const long hertz = sysconf(_SC_CLK_TCK);
  return 1000000000u / (hertz < 1 ? 100u : (uint64_t)hertz);
}

size_t machine_steal(uint64_t* ticks, size_t most) {
  FILE* file = fopen("/proc/stat", "re");
  if (file == NULL) return 0;
  char line[512];
  size_t count = 0;
  unsigned long long steal;
  while (count < most && fgets(line, sizeof line, file) != NULL && strncmp(line, "cpu", 3) == 0) {
    if (line[3] < '0' || line[3] > '9') continue; /* the sum of all */
    if (sscanf(line, "cpu%*u %*u %*u %*u %*u %*u %*u %*u %llu", &steal) == 1) ticks[count++] = steal;
  }
  fclose(file);
  return count;
}

void machine_prefer_agent(void) {
  const struct sched_param priority = {.sched_priority = 90};
  if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority) != 0) {
    /* Not allowed where it is no init: as well as it can be. */
    (void)setpriority(PRIO_PROCESS, 0, -20);
  }
  const int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  if (write(file, "-1000", 5) < 0) { /* only the OOM killer's choice */
  }
  close(file);
}
