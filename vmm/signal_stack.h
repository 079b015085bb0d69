// A stack of its own for the handlers of a thread that has run out of stack: without one the kernel ends the
// process before a handler has restored the terminal. For handlers installed with SA_ONSTACK.
#pragma once

namespace vmm {

// Gives the calling thread one, for as long as it lives; once is enough.
void use_signal_stack();

}  // namespace vmm
