// Whether a run that met a failing system call ended as it may: with the right result, or with a message,
// what was measured printed, and a status of the documented ones. One thread.
#pragma once

#include <string>

#include "tests/fail/tracer.h"

namespace fail_test {

// A program with what is right for it.
struct Subject {
  std::string name;
  Program program;
  bool measures = true;     // prints a result as JSON; else: the text below
  std::string output = {};  // standard output, whole
  int status = 0;           // with it
};

// What a busy host may do as well: worth another try.
inline constexpr const char* kNothingDone = "nothing was done";

// Empty: it may.
[[nodiscard]] std::string what_is_wrong(const Subject& subject, const Ending& ending);

}  // namespace fail_test
