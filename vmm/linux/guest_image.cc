#include "vmm/linux/guest_image.h"

#include <fmt/format.h>

#include <string_view>

#include "guest/linux/protocol.h"

namespace vmm {
namespace {

// The console is read for trouble: warnings and worse are enough, and each byte costs an exit. A panic ends
// the VM by a reset. Where vCPUs wait for each other's turns Linux must not compare their TSCs: its watchdog would judge
// waiting, and that of 7.3 can stand still for ever (docs/hardware.md, "A guest that stands still").
constexpr std::string_view kCmdline = "console=ttyS0 loglevel=5 panic=-1 reboot=t tsc=reliable";

// Where the kernel lies is not in its symbols, if it moves itself.
bool keeps_its_place(const LinuxGuest& guest) {
  return !guest.symbols.empty() && guest.cmdline.find("kaslr") == std::string::npos;
}

}  // namespace

std::string kernel_cmdline(const LinuxGuest& guest) {
  return fmt::format("{} {}={}{}{}{}", kCmdline, KVMUX_LINUX_PARAMETER, guest.load,
                     keeps_its_place(guest) ? " nokaslr" : "", guest.cmdline.empty() ? "" : " ", guest.cmdline);
}

}  // namespace vmm
