#include "vmm/linux/guest_image.h"

#include <fmt/format.h>

#include <string_view>

#include "guest/linux/protocol.h"

namespace vmm {
namespace {

// The console is read for trouble: warnings and worse are enough, and each byte costs an exit. A panic ends
// the VM by a reset.
constexpr std::string_view kCmdline = "console=ttyS0 loglevel=5 panic=-1 reboot=t";

}  // namespace

std::string kernel_cmdline(const LinuxGuest& guest) {
  return fmt::format("{} {}={}{}{}", kCmdline, KVMUX_LINUX_PARAMETER, guest.load,
                     guest.cmdline.empty() ? "" : " ", guest.cmdline);
}

}  // namespace vmm
