#include "sched/yield/needed.h"

#include <limits>
#include <optional>

namespace sched {
namespace {

using Page = GuestPage;

bool waits_for(const Page& page, GuestWait kind, uint64_t name) {
  return page.wait() == kind && page.wait_name() == name;
}

struct Owner {
  uint32_t vcpu;
  bool in_line;  // nobody owns the lock, and this one is next
};

// A lock without tickets that nobody owns is anybody's: no wait for it goes on.
std::optional<Owner> owner_of(const GuestPages& pages, uint64_t lock) {
  std::optional<Owner> first;
  uint64_t lowest = std::numeric_limits<uint64_t>::max();
  for (uint32_t i = 0; i < pages.size(); ++i) {
    const Page& page = pages[i];
    if (Page::load(page.holds) == lock) return Owner{i, false};
    const uint64_t ticket = Page::load(page.place);
    if (ticket == 0 || ticket >= lowest || !waits_for(page, GuestWait::kLock, lock)) continue;
    lowest = ticket;
    first = Owner{i, true};
  }
  return first;
}

class Search {
 public:
  explicit Search(const GuestPages& pages) : pages_(pages) {}

  VcpuBits found(uint32_t waiter) {
    visit(waiter);
    found_.reset(waiter);
    return found_;
  }

 private:
  // A chain's next link: found if it works, else followed. Recursion is as deep as the chain, at most the VM.
  void follow(uint32_t vcpu) {
    if (waits(pages_[vcpu])) {
      visit(vcpu);
    } else {
      found_.set(vcpu);
    }
  }

  void visit(uint32_t waiter) {
    if (seen_.test(waiter)) return;
    seen_.set(waiter);
    const Page& page = pages_[waiter];
    const uint64_t name = page.wait_name();
    switch (page.wait()) {
      case GuestWait::kNothing:
        return;
      case GuestWait::kLock:
        return visit_lock(waiter, name);
      case GuestWait::kBarrier:
        return visit_barrier(waiter, name, Page::load(page.place));
      case GuestWait::kAcks:
        // Whoever is sent an IPI acknowledges it as soon as it runs, whatever it waits for itself.
        found_ |= awaited_by(pages_, waiter);
        return;
      case GuestWait::kWork:
        for (uint32_t i = 0; i < pages_.size(); ++i) {
          if (pages_[i].wait() != GuestWait::kWork) follow(i);
        }
        return;
    }
  }

  // Who is first in line waits no more, though it says so until it runs.
  void visit_lock(uint32_t waiter, uint64_t lock) {
    const auto owner = owner_of(pages_, lock);
    if (!owner || owner->vcpu == waiter) return;
    if (owner->in_line) {
      found_.set(owner->vcpu);
    } else {
      follow(owner->vcpu);
    }
  }

  void visit_barrier(uint32_t waiter, uint64_t name, uint64_t generation) {
    for (uint32_t i = 0; i < pages_.size(); ++i) {
      const Page& page = pages_[i];
      const bool arrived = waits_for(page, GuestWait::kBarrier, name) && Page::load(page.place) >= generation;
      if (i == waiter || arrived) continue;
      // One that is still in the barrier before is through, and only has to see it.
      if (waits_for(page, GuestWait::kBarrier, name)) {
        found_.set(i);
      } else {
        follow(i);
      }
    }
  }

  const GuestPages& pages_;
  VcpuBits seen_;
  VcpuBits found_;
};

}  // namespace

bool waits(const GuestPage& page) {
  const GuestWait kind = page.wait();
  if (kind == GuestWait::kNothing || kind > GuestWait::kWork) return false;
  return kind != GuestWait::kLock || Page::load(page.holds) != page.wait_name();
}

VcpuBits awaited_by(const GuestPages& pages, uint32_t sender) {
  VcpuBits awaited;
  if (sender >= pages.size() || !pages[sender].published()) return awaited;
  for (uint32_t i = 0; i < pages.size(); ++i) awaited.set(i, i != sender && pages[sender].awaits_ack_of(i));
  return awaited;
}

VcpuBits needed_by(const GuestPages& pages, uint32_t waiter) {
  if (waiter >= pages.size() || !pages[waiter].published() || !waits(pages[waiter])) return {};
  return Search(pages).found(waiter);
}

}  // namespace sched
