// A program under way, its output in a file. One thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "tests/soak/machine.h"

namespace soak {

class Child {
 public:
  // words[0] is the program's path. Both outputs go to the file.
  Child(const std::vector<std::string>& words, const std::string& output);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  bool started() const { return pid_ > 0; }
  void signal(int number) const;
  // Stopped for a while, then continued.
  void pause(Nanos length) const;
  // Exit status, or minus the signal that ended it. When it takes longer than `limit`, its threads are
  // dumped and it is ended with SIGABRT.
  int wait(Nanos limit);
  bool hung() const { return hung_; }

 private:
  pid_t pid_ = -1;
  bool hung_ = false;
};

}  // namespace soak
