#include "sched/queue/gang_queue.h"

#include <doctest/doctest.h>

#include <set>

#include "support.h"

using namespace sched_test;

namespace {

constexpr Nanos kSlot = 1ms;

// All columns of a plan, driven slot by slot.
class Rig {
 public:
  struct Vm {
    uint32_t vcpus;
    Weight weight = kDefaultWeight;
  };
  Rig(uint32_t workers, std::vector<Vm> vms) {
    plan_ = std::make_shared<GangPlan>(workers, kSlot);
    for (const Vm& vm : vms) plan_->add(vm.vcpus, vm.weight);
    plan_->finish();
    for (uint32_t w = 0; w < workers; ++w) queues_.push_back(std::make_unique<GangQueue>(plan_));
    for (uint32_t v = 0; v < vms.size(); ++v) {
      for (uint32_t i = 0; i < vms[v].vcpus; ++i) {
        Vcpu& vcpu = vcpus_.emplace_back();
        vcpu.id = VcpuId{static_cast<uint32_t>(vcpus_.size() - 1)};
        vcpu.vm = VmId{v};
        vcpu.index = i;
        queue_of(vcpu).enqueue(vcpu, 0ns);
      }
    }
  }
  GangQueue& queue_of(const Vcpu& vcpu) {
    return *queues_[index_of(plan_->place(vcpu.vm, vcpu.index).column)];
  }
  GangQueue& queue(size_t w) { return *queues_[w]; }
  Vcpu& vcpu(size_t i) { return vcpus_[i]; }
  GangPlan& plan() { return *plan_; }

  // The vCPUs that run in this slot, by worker.
  std::vector<Vcpu*> run_slot(uint64_t slot) {
    const Nanos start = static_cast<int64_t>(slot) * kSlot;
    std::vector<Vcpu*> ran;
    for (const auto& queue : queues_) {
      ran.push_back(queue->pick(start));
      if (queue->current() != nullptr) queue->put(start + kSlot);
    }
    return ran;
  }

 private:
  std::shared_ptr<GangPlan> plan_;
  std::vector<std::unique_ptr<GangQueue>> queues_;
  std::deque<Vcpu> vcpus_;
};

// How many vCPUs of each VM run at once.
std::map<uint32_t, int> by_vm(const std::vector<Vcpu*>& ran) {
  std::map<uint32_t, int> n;
  for (const Vcpu* vcpu : ran) {
    if (vcpu != nullptr) ++n[index_of(vcpu->vm)];
  }
  return n;
}

}  // namespace

TEST_CASE("gang: all vCPUs of a VM that fits run at the same time") {
  Rig rig(4, {{4}, {4}, {2}, {2}, {3}});
  // Rows: VM 0; VM 1; VMs 2 and 3 together; VM 4.
  CHECK(rig.plan().rows() == 4);
  std::map<uint32_t, int> slots;
  for (uint64_t slot = 0; slot < 64; ++slot) {
    for (const auto& [vm, n] : by_vm(rig.run_slot(slot))) {
      // VM 4's row has a free place, filled by another vCPU of that column alone.
      const int whole = vm < 2 ? 4 : vm < 4 ? 2 : 3;
      if (n == whole) ++slots[vm];
    }
  }
  for (uint32_t vm = 0; vm < 5; ++vm) CHECK(slots[vm] == 16);  // a quarter of the time each
}

TEST_CASE("gang: slots are dealt by weight") {
  Rig rig(2, {{2, Weight{3072}}, {2, Weight{1024}}});
  std::map<uint32_t, int> slots;
  for (uint64_t slot = 0; slot < 32; ++slot) {
    for (const auto& [vm, n] : by_vm(rig.run_slot(slot))) slots[vm] += n;
  }
  CHECK(slots[0] == 48);
  CHECK(slots[1] == 16);
}

TEST_CASE("gang: however light a VM is, it gets a slot in every round") {
  for (const int64_t weight : {int64_t{1 << 20}, int64_t{20'000}, int64_t{100}}) {
    CAPTURE(weight);
    Rig rig(1, {{1, {weight}}, {1, {2}}});
    uint64_t since = 0;
    for (uint64_t slot = 0; slot < 10'000; ++slot) {
      since = rig.run_slot(slot)[0] == &rig.vcpu(1) ? 0 : since + 1;
      REQUIRE(since <= 4096);
    }
  }
}

TEST_CASE("gang: a VM larger than the machine is cut into gangs that fit and keeps its weight") {
  Rig rig(2, {{5}, {2}});
  std::set<VcpuId> seen;
  std::map<uint32_t, int> slots;
  for (uint64_t slot = 0; slot < rig.plan().rows() * 16; ++slot) {
    for (const Vcpu* vcpu : rig.run_slot(slot)) {
      REQUIRE(vcpu != nullptr);
      seen.insert(vcpu->id);
      ++slots[index_of(vcpu->vm)];
    }
  }
  CHECK(seen.size() == 7);
  // Gangs of 2, 2 and 1 with 2/5, 2/5 and 1/5 of the weight beside one gang with all of its own: half the
  // slots each. The free place beside the gang of one is filled by whoever is next in that column.
  const double share = static_cast<double>(slots[1]) / (slots[0] + slots[1]);
  CHECK(share >= 0.45);
  CHECK(share <= 0.6);
}

TEST_CASE("gang: the place of a halted vCPU is filled, and given back when it wakes") {
  Rig rig(1, {{1}, {1}});
  Vcpu& first = rig.vcpu(0);
  Vcpu& second = rig.vcpu(1);
  GangQueue& queue = rig.queue(0);
  // Whose slot is the first one?
  Vcpu* owner = queue.pick(0ns);
  Vcpu* other = owner == &first ? &second : &first;
  queue.dequeue(*owner, 100us);
  CHECK(queue.pick(100us) == other);
  CHECK(queue.turn_end() == kForever);
  queue.enqueue(*owner, 200us);
  CHECK(queue.preempts(*owner));  // it is its time
  CHECK(queue.turn_end() == kSlot);
  queue.put(200us);
  CHECK(queue.pick(200us) == owner);
  CHECK_FALSE(queue.preempts(*other));
  CHECK_FALSE(queue.tick(kSlot - 1ns));
  CHECK(queue.tick(kSlot));
}

TEST_CASE("gang: workers switch at the same instant, whenever they picked") {
  Rig rig(2, {{2}, {2}});
  REQUIRE(rig.queue(0).pick(10us) != nullptr);
  REQUIRE(rig.queue(1).pick(730us) != nullptr);
  CHECK(rig.queue(0).turn_end() == 1ms);
  CHECK(rig.queue(1).turn_end() == 1ms);
  CHECK(rig.queue(0).current()->vm == rig.queue(1).current()->vm);
  Vcpu* out = nullptr;
  CHECK(rig.queue(0).movable({&out, 1}) == 0);  // places are fixed
}

TEST_CASE("gang: empty places are filled in turn, so that nobody in the column starves") {
  // Three VMs of one vCPU each share the first row on three workers; on one worker they are rows of one.
  Rig rig(2, {{2}, {1}, {2}, {2}});
  // Column 1 has a gap in VM 1's row: VMs 0, 2 and 3 take turns in it.
  std::map<uint32_t, int> fillers;
  for (uint64_t slot = 0; slot < 256; ++slot) {
    const std::vector<Vcpu*> ran = rig.run_slot(slot);
    if (ran[0]->vm == VmId{1}) ++fillers[index_of(ran[1]->vm)];
  }
  CHECK(fillers.size() == 3);
  for (const auto& [vm, n] : fillers) CHECK(n >= 15);
}

TEST_CASE("gang: nothing to run") {
  Rig rig(2, {{1}});
  CHECK(rig.queue(1).pick(0ns) == nullptr);
  CHECK(rig.queue(1).turn_end() == kForever);
  CHECK(rig.queue(1).runnable() == 0);
}
