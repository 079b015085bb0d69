/* Programs that run on and report: dbench and sysbench each second, cyclictest each wake-up. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "guest/linux/agent.h"
#include "guest/linux/load.h"
#include "guest/linux/program.h"

static char number[16], option[32];
static struct program program;

static void go(void) {
  reported_start();
  program_start(&program);
}

/* "   2     62178   342.42 MB/sec  execute   1 sec  latency 28.277 ms": clients, lines of the load file that
 * they have done, warm-up included; the last line of a phase may repeat what was. */
static unsigned long long lines_before;
static void dbench_line(const char* line) {
  unsigned long long lines;
  if (sscanf(line, " %*u %llu %*f MB/sec", &lines) != 1) return;
  if (lines > lines_before) reported_add(lines - lines_before);
  lines_before = lines;
}
static void prepare_dbench(const char* argument) {
  static const char* const argv[] = {
      "/usr/bin/dbench", "-D",   "/tmp/dbench", "-c", "/usr/share/dbench/client.txt", "-t",
      "1000000",         number, NULL};
  program_check(argv[0]);
  if (mkdir("/tmp/dbench", 0755) != 0 && errno != EEXIST) give_up("/tmp/dbench: %s", strerror(errno));
  snprintf(number, sizeof number, "%u", load_number(argument));
  program = (struct program){.argv = argv, .line = dbench_line};
}
const struct load load_dbench = {prepare_dbench, go, reported_read};

/* "[ 1s ] thds: 2 eps: 4711.25 lat (ms,95%): 0.31": events a second since the report before. What that makes
 * is known by our own clock. */
static double events_left;
static void sysbench_line(const char* line) {
  double rate;
  if (sscanf(line, "[ %*us ] thds: %*u eps: %lf", &rate) != 1 || !(rate >= 0 && rate < 1e12)) return;
  uint64_t operations, before;
  reported_read(&operations, &before);
  events_left += rate * (double)(machine_now() - before) / 1e9;
  const uint64_t whole = (uint64_t)events_left;
  events_left -= (double)whole;
  reported_add(whole);
}
static void prepare_sysbench(const char* const* argv, const char* argument) {
  program_check(argv[0]);
  snprintf(option, sizeof option, "--threads=%u", load_number(argument));
  program = (struct program){.argv = argv, .line = sysbench_line, .terminal = 1};
}
static void prepare_sysbench_threads(const char* argument) {
  static const char* const argv[] = {
      "/usr/bin/sysbench",   "threads",          option, "--time=0", "--events=0", "--report-interval=1",
      "--thread-yields=100", "--thread-locks=8", "run",  NULL};
  prepare_sysbench(argv, argument);
}
static void prepare_sysbench_cpu(const char* argument) {
  static const char* const argv[] = {
      "/usr/bin/sysbench",    "cpu", option, "--time=0", "--events=0", "--report-interval=1",
      "--cpu-max-prime=2000", "run", NULL};
  prepare_sysbench(argv, argument);
}
const struct load load_sysbench_threads = {prepare_sysbench_threads, go, reported_read};
const struct load load_sysbench_cpu = {prepare_sysbench_cpu, go, reported_read};

/* "       0:      12:      66": thread, wake-up, µs that it was late. */
static void cyclictest_line(const char* line) {
  unsigned long long late;
  if (sscanf(line, " %*u: %*u: %llu", &late) != 1) return;
  latency_add(late);
  reported_add(1);
}
static void prepare_cyclictest(const char* argument) {
  static const char* const argv[] = {
      "/usr/bin/cyclictest", "-v", "-q", "-m", "-p", "80", "-i", "1000", "-d", "0", "-t", number, NULL};
  program_check(argv[0]);
  snprintf(number, sizeof number, "%u", load_number(argument));
  program = (struct program){.argv = argv, .line = cyclictest_line};
}
const struct load load_cyclictest = {prepare_cyclictest, go, reported_read};
