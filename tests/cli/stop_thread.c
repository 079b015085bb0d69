// Stops one thread of a process for a while, as a debugger does, and lets it go on: the host's doing that a test needs.
// stop_thread PID NAME SECONDS    the first thread of that name. Exit 0: done; 77: not allowed here; 3: no such thread
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static int thread_named(const char* pid, const char* name) {
  char path[300];
  snprintf(path, sizeof(path), "/proc/%s/task", pid);
  DIR* tasks = opendir(path);
  if (!tasks) return -1;
  int found = -1;
  for (struct dirent* entry; found < 0 && (entry = readdir(tasks));) {
    snprintf(path, sizeof(path), "/proc/%s/task/%s/comm", pid, entry->d_name);
    FILE* file = fopen(path, "r");
    if (!file) continue;
    char comm[32] = "";
    if (fgets(comm, sizeof(comm), file)) {
      comm[strcspn(comm, "\n")] = 0;
      if (!strcmp(comm, name)) found = atoi(entry->d_name);
    }
    fclose(file);
  }
  closedir(tasks);
  return found;
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int thread = thread_named(argv[1], argv[2]);
  if (thread < 0) return 3;
  if (ptrace(PTRACE_SEIZE, thread, 0, 0) != 0) {
    perror("PTRACE_SEIZE");
    return errno == EPERM || errno == ENOSYS ? 77 : 1;
  }
  int status = 0;
  if (ptrace(PTRACE_INTERRUPT, thread, 0, 0) != 0 || waitpid(thread, &status, __WALL) != thread) {
    perror("PTRACE_INTERRUPT");
    return 1;
  }
  usleep((unsigned)(atof(argv[3]) * 1e6));
  if (ptrace(PTRACE_DETACH, thread, 0, 0) != 0) {
    perror("PTRACE_DETACH");
    return 1;
  }
  return 0;
}
