// The last message of a process that ends at once: a broken invariant, a violation of the sandbox, threads
// that cannot be stopped. Written to the standard error directly, with a bound: a reader that does not read
// must not keep a process that has to end.
//
// Async-signal-safe, any thread, in every sandbox.
#pragma once

#include <string_view>

namespace vmm {

// Returns after 0.4 s at the latest, whether all of it has been written or not.
void last_words(std::string_view text) noexcept;

// What is done once, before the first of them: puts the terminal back, or they would go with the screen that
// is left. Async-signal-safe, any thread. Null: nothing.
void before_last_words(void (*act)()) noexcept;

// "file:line: broken invariant: message (condition)", and the end by abort().
[[noreturn]] void broken_invariant(std::string_view file, int line, std::string_view message,
                                   std::string_view condition) noexcept;

}  // namespace vmm
