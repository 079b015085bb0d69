#include "vmm/run/waiting.h"

#include <thread>

namespace vmm {
namespace {

constexpr Nanos kPoll{100'000'000};  // each look takes a CPU from a worker

}  // namespace

bool Waiting::until(Nanos end, const std::function<bool()>& is_so) {
  for (;;) {
    const Nanos now = monotonic_now();
    if (control_.progress) {
      const auto done = static_cast<double>((now - began_).count());
      control_.progress(std::min(1.0, done / static_cast<double>(whole_.count())));
    }
    if (control_.stop.load() || engine_.all_ended() || engine_.trouble().any()) return false;
    if (now >= end || is_so()) return true;
    watch_.look(now);
    if (stalls_ != nullptr) stalls_->serve();
    if (at_each_look_ && !looks_) {
      looks_ = true;  // what is done there may wait as well
      at_each_look_();
      looks_ = false;
    }
    wait(std::min(end, now + kPoll));
  }
}

void Waiting::wait(Nanos end) {
  if (pcs_ == nullptr) {
    std::this_thread::sleep_for(end - monotonic_now());
  } else if (const auto served = pcs_->serve(end); !served) {
    engine_.trouble().report(served.error());
  }
}

}  // namespace vmm
