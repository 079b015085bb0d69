/* Compilations: a C file by a process of its own, JOBS at once, as a build has them. They live for a few milliseconds,
 * so starting and ending processes is a good part of the load. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "guest/linux/agent.h"
#include "guest/linux/load.h"
#include "guest/linux/program.h"

enum { FUNCTIONS = 400, FILES_A_JOB = 4 };

static char script[160];
static uint64_t of_a_run;
static const char* const argv[] = {"/bin/sh", "-c", script, NULL};
static struct program program = {.argv = argv};

/* It includes nothing, so that no header is needed: functions with tables, loops and switches that call each other. */
static void write_source(const char* path) {
  FILE* file = fopen(path, "we");
  if (file == NULL) give_up("%s cannot be written", path);
  fputs("typedef struct item { struct item* next; int key, value; char name[16]; } item;\n", file);
  for (int i = 0; i < FUNCTIONS; ++i) {
    fprintf(file, "static int table_%d[8] = {%d, %d, %d};\n", i, i, i * 7 % 101, i * 13 % 97);
    fprintf(file,
            "int work_%d(item* list, int count) {\n"
            "  int sum = %d;\n"
            "  for (int i = 0; i < count && list; ++i, list = list->next) {\n"
            "    if ((list->key & 7) == %d) sum += list->value * table_%d[list->key & 7];\n"
            "    else switch (list->name[i & 15]) {\n"
            "      case 'a': sum ^= count; break;\n"
            "      case 'b': sum -= i << 2; break;\n",
            i, i, i % 8, i);
    if (i > 0) fprintf(file, "      default: sum += work_%d(list->next, i);\n", i - 1);
    fputs("    }\n  }\n  return sum;\n}\n", file);
  }
  if (fclose(file) != 0) give_up("%s cannot be written", path);
}

static void again(void) {
  reported_add(of_a_run);
  program_start(&program);
}
static void warmed_up(void) {}

static void prepare(const char* argument) {
  const unsigned jobs = load_number(argument);
  of_a_run = (uint64_t)jobs * FILES_A_JOB;
  program_check("/usr/bin/tcc");
  write_source("/tmp/in.c");
  snprintf(script, sizeof script,
           "/bin/busybox seq %u | /bin/busybox xargs -P %u -I @ /usr/bin/tcc -c /tmp/in.c -o /tmp/@.o",
           jobs * FILES_A_JOB, jobs);
  program.finished = warmed_up;
  program_run_once(&program);
  program.finished = again;
}
static void go(void) {
  reported_start();
  program_start(&program);
}

const struct load load_compile = {prepare, go, reported_read};
