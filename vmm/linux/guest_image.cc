#include "vmm/linux/guest_image.h"

#include <algorithm>

namespace vmm {
namespace {

// The console is read for trouble: warnings and worse are enough, and each byte costs an exit. A panic ends the VM
// by a reset.
constexpr std::string_view kCmdline = "console=ttyS0 loglevel=5 panic=-1 reboot=t";
constexpr std::string_view kStandardLoad = "hackbench";

}  // namespace

void complete_guest(LinuxGuest& guest) {
  if (guest.load.empty()) guest.load = kStandardLoad;
  if (!guest.cmdline.starts_with(kCmdline)) {
    guest.cmdline = std::string{kCmdline} + (guest.cmdline.empty() ? "" : " ") + guest.cmdline;
  }
}

std::string why_not_load(std::string_view load) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  const size_t colon = load.find(':');
  const std::string_view name = load.substr(0, colon);
  const std::string_view count = colon == std::string_view::npos ? "1" : load.substr(colon + 1);
  const bool good = !name.empty() && std::all_of(name.begin(), name.end(), is_word) && !count.empty() &&
                    count.size() <= 6 && std::all_of(count.begin(), count.end(), [](char c) {
                      return c >= '0' && c <= '9';
                    });
  return good ? "" : "NAME or NAME:N, as in dbench:8";
}

}  // namespace vmm
