/* Programs that only end: run again and again, each end so many operations. The work of a run is fixed and
 * short. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "guest/linux/agent.h"
#include "guest/linux/load.h"
#include "guest/linux/program.h"

static char number[16], option[80];
static uint64_t of_a_run;
static struct program program;

static void again(void) {
  reported_add(of_a_run);
  program_start(&program);
}
static void warmed_up(void) {}

/* Once before `ready`: what it needs is in the page cache, and what is wrong with it is known. */
static void prepare(const char* const* argv, uint64_t operations) {
  program_check(argv[0]);
  of_a_run = operations;
  program = (struct program){.argv = argv, .finished = warmed_up};
  program_run_once(&program);
  program.finished = again;
}
static void go(void) {
  reported_start();
  program_start(&program);
}

/* hackbench: in each group 20 senders write LOOPS messages to each of 20 receivers. */
static void prepare_hackbench(const char* argument) {
  static const char* const argv[] = {"/usr/bin/hackbench", "--pipe", "-g", number, "-l", "50", NULL};
  const unsigned groups = *argument == '\0' ? 1 : load_number(argument);
  snprintf(number, sizeof number, "%u", groups);
  prepare(argv, (uint64_t)groups * 20 * 20 * 50);
}

/* sysbench mutex: each thread takes one of a few mutexes so many times, with short work in between. */
static void prepare_sysbench_mutex(const char* argument) {
  static const char* const argv[] = {
      "/usr/bin/sysbench", "mutex", option, "--mutex-num=4", "--mutex-locks=20000",
      "--mutex-loops=200", "run",   NULL};
  const unsigned count = load_number(argument);
  snprintf(option, sizeof option, "--threads=%u", count);
  prepare(argv, (uint64_t)count * 20000);
}

/* A picture of smooth noise as PPM, which vips reads without any library. */
static void write_picture(const char* path) {
  enum { kSide = 512 };
  FILE* file = fopen(path, "we");
  if (file == NULL) give_up("%s cannot be written", path);
  fprintf(file, "P6\n%d %d\n255\n", kSide, kSide);
  uint32_t state = 1;
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      state = state * 1664525u + 1013904223u;
      const int noise = (int)(state >> 28);
      fputc((x / 3 + noise) & 255, file);
      fputc((y / 3 + noise) & 255, file);
      fputc(((x + y) / 5 + noise) & 255, file);
    }
  }
  if (fclose(file) != 0) give_up("%s cannot be written", path);
}

/* vips sharpen: into LAB, a Gaussian filter, a table, and back, in threads that share the picture's tiles. */
static void prepare_vips(const char* argument) {
  static const char* const argv[] = {"/usr/bin/vips", "sharpen", "/tmp/in.ppm", "/tmp/out.v", NULL};
  snprintf(number, sizeof number, "%u", load_number(argument));
  setenv("VIPS_CONCURRENCY", number, 1);
  write_picture("/tmp/in.ppm");
  prepare(argv, 1);
}

const struct load load_hackbench = {prepare_hackbench, go, reported_read};
const struct load load_sysbench_mutex = {prepare_sysbench_mutex, go, reported_read};
const struct load load_vips = {prepare_vips, go, reported_read};

/* stress-ng: runs of a second; it says itself how many operations that were. */
static char stressor[64], flag[72], stress_workers[8];
static uint64_t bogo_operations;
static const char* const stress_argv[] = {"/usr/bin/stress-ng", flag,   stress_workers,
                                          "--timeout",          "1",    "--metrics-brief",
                                          "--temp-path",        "/tmp", NULL};

/* "stress-ng: metrc: [12] switch  123456  1.00 …" */
static void stress_line(const char* line) {
  const char* name = strstr(line, "] ");
  if (name == NULL || strncmp(name + 2, stressor, strlen(stressor)) != 0) return;
  unsigned long long operations;
  if (sscanf(name + 2 + strlen(stressor), " %llu", &operations) == 1) bogo_operations = operations;
}
static void stress_again(void) {
  reported_add(bogo_operations);
  bogo_operations = 0;
  program_start(&program);
}
static void prepare_stress(const char* argument) {
  program_check(stress_argv[0]);
  const size_t length = strcspn(argument, ":");
  if (length >= sizeof stressor) give_up("no such stressor: %s", argument);
  snprintf(stressor, sizeof stressor, "%.*s", length > 0 ? (int)length : 6, length > 0 ? argument : "switch");
  snprintf(flag, sizeof flag, "--%s", stressor);
  snprintf(stress_workers, sizeof stress_workers, "%u",
           load_number(argument[length] == ':' ? argument + length + 1 : ""));
  program = (struct program){.argv = stress_argv, .line = stress_line, .finished = warmed_up};
  program_run_once(&program);
  if (bogo_operations == 0) give_up("stress-ng says nothing of --%s", stressor);
  bogo_operations = 0;
  program.finished = stress_again;
}
const struct load load_stress_ng = {prepare_stress, go, reported_read};
