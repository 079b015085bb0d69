// The one interface of the sandbox: what kvmux gives up once it is set up, because its guests attack it.
//
// On by default, for the whole process; off by switch_off() (--sandbox off), in builds with sanitizers (they
// map, open and trace as they like), and where the kernel has no seccomp: then every function here succeeds
// and does nothing. Errors are the host's trouble.
//
//   confine_process(files)  main thread, once a command knows its files: main's filter and Landlock, which
//   all
//                           later threads inherit
//   enter_sandbox(kind)     each thread, when its own set-up is done: its kind's filter on top, and no files
//   in_loader(parse)        runs parse() in a thread of its own of kind kLoader
#pragma once

#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>

#include "vmm/result.h"
#include "vmm/sandbox/landlock.h"
#include "vmm/sandbox/thread_kind.h"

namespace vmm::sandbox {

// For good; before any thread is confined.
void switch_off();

// Why there is no sandbox; empty: it is on. `landlock`: its version, 0 where the kernel has none.
struct State {
  std::string why_off;
  int landlock = 0;
};
[[nodiscard]] State state();
[[nodiscard]] bool is_on();

[[nodiscard]] Result<void> confine_process(Files files);
// confine_process() has been called and the sandbox is on: threads from before it may enter theirs. Any thread.
[[nodiscard]] bool is_confined();
[[nodiscard]] Result<void> enter_sandbox(ThreadKind kind);

template <class Parse>
[[nodiscard]] std::invoke_result_t<Parse> in_loader(Parse parse) {
  if (!is_on()) return parse();
  std::optional<std::invoke_result_t<Parse>> result;
  try {
    std::thread([&] {
      if (auto entered = enter_sandbox(ThreadKind::kLoader); !entered) {
        result.emplace(Failure(entered.error()));
      } else {
        result.emplace(parse());
      }
    }).join();
  } catch (const std::system_error& error) {
    return host_error("pthread_create", error.code().value(), "an image is parsed in a thread of its own");
  }
  return std::move(*result);
}

}  // namespace vmm::sandbox
