// Exceptions that nobody catches: on a thread of ours only the host's shortage throws (memory, threads). They
// end the process with a message and the status of host trouble, the terminal restored; all others abort.
// Main thread, before it starts others.
#pragma once

namespace vmm {

void end_on_uncaught_exceptions();

}  // namespace vmm
