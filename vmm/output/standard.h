// The process's standard output and standard error as outlets, other files that results go to, and how long
// the program waits for all their readers. One of each a process, as the descriptors are; they live until it
// ends, because their writers may hang.
//
// Any thread, unless a function says otherwise.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <string_view>

#include "vmm/output/outlet.h"

namespace vmm {

inline constexpr size_t kConsoleBuffer = size_t{1} << 20;  // of what guests print
inline constexpr size_t kMessageBuffer = size_t{1} << 20;  // of what goes to the standard error; the rest is dropped
inline constexpr Nanos kGrace{400'000'000};                // for readers, when the user is waiting

[[nodiscard]] Outlet& standard_output();
[[nodiscard]] Outlet& standard_error();

// Main thread, when the process has confined itself. Outlets made later need no call.
void confine_standard_outlets();

// First of all in main(): missing standard descriptors are opened such that reading and writing them fails.
// Else the next descriptor, say KVM's, would become the standard output. And a reader that has gone, or a
// file at its size limit, is an error of write() from here on instead of the process's end.
[[nodiscard]] Result<void> secure_standard_descriptors();

// Main thread. As soon as `stop` is set, readers are waited for no longer than kGrace; `stop` must live as
// long as the process.
void wait_for_readers_until(const std::atomic<bool>& stop);
// Main thread. The same from now on, whatever `stop` says: the time is up.
void hurry_readers();
// Main thread. Waits for the readers of an outlet as said, or until `deadline`. False: they did not read.
bool wait_for_readers(Outlet& outlet, std::optional<Nanos> deadline = {});

// Main thread. Writes a file, waiting for its reader (it may be a pipe) as above.
[[nodiscard]] Result<void> write_file(const std::string& what, const std::string& path,
                                      std::string_view text);

// Main thread, last of all: waits for the readers, says what could not be written, and gives the exit status:
// 3 if results are lost, which only 130 is stronger than.
[[nodiscard]] int finish_standard_output(int status);

}  // namespace vmm
