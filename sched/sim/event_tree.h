// The simulator's clock: one next event per source (a worker), and which comes first.
//
// A tournament tree: set() is O(log sources) and stops as soon as nothing changes above, reading the winner
// is O(1), and nothing is allocated after construction. Equal times go to the lower source, so a run depends
// on nothing but its input. One owner, no thread safety.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sched/base/types.h"

namespace sched::sim {

class EventTree {
 public:
  explicit EventTree(uint32_t sources) : leaves_(std::bit_ceil(size_t{sources})), nodes_(2 * leaves_) {
    for (size_t i = 0; i < leaves_; ++i) nodes_[leaves_ + i].source = static_cast<uint32_t>(i);
    for (size_t i = leaves_ - 1; i > 0; --i) nodes_[i] = nodes_[2 * i];
  }

  // kForever: nothing is going to happen.
  Nanos time() const { return nodes_[1].time; }
  uint32_t source() const { return nodes_[1].source; }
  Nanos time_of(uint32_t source) const { return nodes_[leaves_ + source].time; }

  void set(uint32_t source, Nanos at) {
    size_t i = leaves_ + source;
    nodes_[i].time = at;
    for (i /= 2; i > 0; i /= 2) {
      const Node& left = nodes_[2 * i];
      const Node& right = nodes_[2 * i + 1];
      const Node& first = right.time < left.time ? right : left;
      if (nodes_[i].time == first.time && nodes_[i].source == first.source) return;
      nodes_[i] = first;
    }
  }

 private:
  struct Node {
    Nanos time = kForever;
    uint32_t source = 0;
  };

  const size_t leaves_;
  std::vector<Node> nodes_;  // 1 is the root, the leaves are at leaves_ …
};

}  // namespace sched::sim
