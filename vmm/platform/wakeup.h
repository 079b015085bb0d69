// Lets any thread end the wait of the one that serves boards. What it rang for is noted besides: should the
// kernel not take the bell, that thread finds it when it looks next, as it does several times a second.
#pragma once

#include <atomic>
#include <memory>

#include "vmm/kvm/fd.h"
#include "vmm/result.h"

namespace vmm {

class Wakeup {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Wakeup>> create();
  // Any thread.
  void ring();
  // The serving thread. False: nobody has rung since.
  bool take();
  // Readable once somebody has rung.
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
  std::atomic<bool> rung_{false};
};

}  // namespace vmm
