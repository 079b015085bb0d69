// Linux guests on the command line: `--guest linux,load=dbench:8` and `--vm guest=linux,…`; and whether this
// host can carry them. Main thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "vmm/cli/command.h"
#include "vmm/cli/flags.h"
#include "vmm/run_types.h"

namespace vmm {

// kernel, initrd, load, cmdline, symbols.
[[nodiscard]] bool is_linux_key(std::string_view key);

// Makes `vm` a Linux guest; keys besides those above: memory. `vm` may be one already, whose own values stay
// where no key says otherwise. Files are only named.
[[nodiscard]] Result<void> make_linux_guest(std::string_view flag, const KeyValues& keys, VmSpec& vm);

[[nodiscard]] bool has_linux_guests(const Request& request);

// The host runs their kernels, or the user wants it all the same (--force): then says what to expect. Files
// that the user named are there; who named no kernel gets that of our image, which may have to be built
// first.
[[nodiscard]] Result<void> prepare_linux_guests(Request& request, bool force, Services& services);

}  // namespace vmm
