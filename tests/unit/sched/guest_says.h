// Pages of a guest that publishes what its vCPUs own and wait for, written by hand. One thread.
#pragma once

#include <memory>

#include "sched/base/guest_page.h"

namespace sched_test {

class GuestSays {
 public:
  explicit GuestSays(uint32_t vcpus) : pages_(new sched::GuestPage[vcpus]()), size_(vcpus) {
    for (uint32_t i = 0; i < vcpus; ++i) sched::GuestPage::store(pages_[i].version, 2);
  }
  sched::GuestPage& operator[](uint32_t vcpu) { return pages_[vcpu]; }
  sched::GuestPages all() const {
    return {reinterpret_cast<std::byte*>(pages_.get()), sizeof(sched::GuestPage), size_};
  }

  void owns(uint32_t vcpu, uint64_t lock) {
    sched::GuestPage::store(pages_[vcpu].holds, lock);
    sched::GuestPage::store(pages_[vcpu].critical, 1);
  }
  void waits(uint32_t vcpu, sched::GuestWait wait, uint64_t name = 0, uint64_t place = 0) {
    sched::GuestPage::store(pages_[vcpu].waits, static_cast<uint64_t>(wait) | name << 8);
    sched::GuestPage::store(pages_[vcpu].place, place);
  }
  void awaits(uint32_t vcpu, uint32_t receiver) {
    waits(vcpu, sched::GuestWait::kAcks);
    auto& word = pages_[vcpu].acks[receiver / 64];
    sched::GuestPage::store(word, sched::GuestPage::load(word) | uint64_t{1} << receiver % 64);
  }

 private:
  std::unique_ptr<sched::GuestPage[]> pages_;
  uint32_t size_;
};

}  // namespace sched_test
