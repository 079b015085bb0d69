// From a KVM exit to what the run loop does next. A free function over the exit area, so that tests feed it
// exits that no guest made.
//
// Called by the lease holder right after KVM_RUN returned 0. Does no system call of its own (but where
// a guest sets its TSC) and does not allocate on the paths that a running guest takes (a guest that is ended
// may cost a string).
#pragma once

#include "vmm/run/board.h"
#include "vmm/run/vcpu.h"

namespace vmm {

Next handle_exit(Vcpu& vcpu, kvm_run& area, Board& board, Nanos now);

// "RIP 0x101f40, CPL 3": for messages.
std::string where(const Vcpu& vcpu);
// What to say when KVM_RUN has ended in this errno, which is for good.
std::string why_not_entered(const Vcpu& vcpu, int error);

}  // namespace vmm
