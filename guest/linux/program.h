/* One child of the agent at a time. Its standard output and error come as lines; the agent's loop calls
 * program_input() and program_reap(). */
#ifndef KVMUX_GUEST_LINUX_PROGRAM_H_
#define KVMUX_GUEST_LINUX_PROGRAM_H_

struct program {
  const char* const* argv;        /* argv[0] is its path; ends with NULL */
  void (*line)(const char* line); /* NULL: only kept as last words */
  void (*finished)(void);         /* it ended well. NULL: it should not have */
  int quiet;                      /* its standard output is not for us (data) */
  int terminal;                   /* its output is one: else it would keep its lines until a buffer is full */
  int input;                      /* it reads a pipe: program_stdin() */
};

void program_start(
    const struct program* program);   /* the path must be one of a program; see program_check() */
void program_check(const char* path); /* give_up() if it is not in the image */
void program_run_once(const struct program* program); /* and wait for its good end, without counting */
int program_fd(void);                                 /* to be polled for input; -1: none */
int program_stdin(void);
void program_input(void);
void program_reap(void); /* after SIGCHLD, and whenever one likes */
void program_kill(void); /* it and what it started */

#endif
