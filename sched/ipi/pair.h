// The two models that remember one receiver per sender: v2, the series as posted, and v3, its repair.
#pragma once

#include <atomic>
#include <vector>

#include "sched/ipi/model.h"

namespace sched {

// Common to both: only a unicast is seen (Fixed, no shorthand, exactly one receiver, not oneself), and a
// sender remembers only the last one.
class PairIpiModel : public IpiModel {
 public:
  PairIpiModel(uint32_t vcpus, Nanos window) : contexts_(vcpus), window_(window) {}
  void forget(uint32_t vcpu) final;
  bool awaits(uint32_t sender, uint32_t receiver, Nanos now) const final;
  std::optional<uint32_t> next_awaited(uint32_t sender, uint32_t after, Nanos now) const final;

 protected:
  void record(const IpiSend& send, const VcpuSet& receivers, Nanos now);
  static constexpr uint32_t kNobody = 0xffffffff;
  // A cache line each: a vCPU's context is written by itself and by those that exchange IPIs with it.
  struct alignas(64) Context {
    std::atomic<uint32_t> receiver{kNobody};  // of my last IPI
    std::atomic<uint8_t> sent_vector{0};
    std::atomic<bool> pending{false};
    std::atomic<int64_t> sent_at{0};
    std::atomic<uint32_t> sender{kNobody};  // of the last IPI to me
    std::atomic<uint8_t> received_vector{0};
  };
  bool recent(const Context& context, Nanos now) const {
    return now.count() - context.sent_at.load(std::memory_order_relaxed) <= window_.count();
  }

  std::vector<Context> contexts_;
  const Nanos window_;
};

// v2, faults included: any EOI by R ends R's own wait as well, whatever its vector, a second sender to R
// hides the first, and a send is recorded once it is delivered: an EOI that comes sooner is missed.
class V2IpiModel final : public PairIpiModel {
 public:
  using PairIpiModel::PairIpiModel;
  void sending(const IpiSend&, Nanos) override {}
  void accepted(const IpiSend& send, const VcpuSet& by, Nanos now) override { record(send, by, now); }
  void eoi(uint32_t receiver, IrqVector vector, Nanos now) override;
};

// v3: only the EOI of the vector that was sent ends the sender's wait, and R's own wait survives it.
class V3IpiModel final : public PairIpiModel {
 public:
  using PairIpiModel::PairIpiModel;
  void sending(const IpiSend& send, Nanos now) override { record(send, send.receivers, now); }
  void accepted(const IpiSend& send, const VcpuSet& by, Nanos now) override;
  void eoi(uint32_t receiver, IrqVector vector, Nanos now) override;
};

}  // namespace sched
