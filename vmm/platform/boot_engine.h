// The engine that a boot's policy asks for. Refuses, by name, policies and changes of policy that cannot be.
#pragma once

#include <memory>

#include "vmm/platform/boot.h"
#include "vmm/run/engine.h"

namespace vmm {

// Our scheduler needs LAPICs of ours: inside KVM, IPIs and HLT never reach it. So they are for threads that
// the host schedules.
[[nodiscard]] Result<std::unique_ptr<Engine>> make_boot_engine(const BootSpec& spec);

// The same machine as a run of one VM.
[[nodiscard]] RunSpec as_run(const BootSpec& spec);

}  // namespace vmm
