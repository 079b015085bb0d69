// The timeline's search tree: an intrusive AVL tree ordered by (deadline, vruntime, tie) in which every node
// knows the smallest vruntimes below it. That is what makes "earliest deadline among the eligible" one
// descent (Stoica and Abdel-Wahab, "Earliest Eligible Virtual Deadline First", 1995; the augmentation is
// Linux's).
//
// No allocation; insert, erase and pick take O(log n) steps, which the tests count through steps().
// Not thread-safe: the caller holds the queue's lock.
#pragma once

#include <cstdint>

#include "sched/queue/entity.h"

namespace sched {

class Tree {
 public:
  void insert(Entity& entity);
  void erase(Entity& entity);
  bool empty() const { return root_ == nullptr; }
  Entity* first() const { return first_; }  // earliest deadline, eligible or not
  Entity* root() const { return root_; }
  static Entity* next(const Entity& entity);

  // The entity with the earliest deadline among those with Eligible(vruntime), or null. `Eligible` must be
  // monotone: true for all vruntimes up to some bound.
  template <class Eligible>
  Entity* earliest(Eligible eligible) const {
    if (first_ != nullptr && eligible(first_->vruntime)) return first_;
    for (Entity* node = root_; node != nullptr;) {
      ++steps_;
      if (node->left != nullptr && eligible(node->left_min)) {
        node = node->left;
      } else if (eligible(node->vruntime)) {
        return node;
      } else {
        node = node->right;
      }
    }
    return nullptr;
  }

  // Nodes visited since construction.
  uint64_t steps() const { return steps_; }

 private:
  Entity*& link_to(Entity& entity);
  void replace(Entity& old_node, Entity* new_node);
  Entity& rotate_left(Entity& node);
  Entity& rotate_right(Entity& node);
  Entity& balance(Entity& node);
  void retrace(Entity* node, bool left, const Entity* changed);
  void take_over(Entity& entity, Entity& heir);

  Entity* root_ = nullptr;
  Entity* first_ = nullptr;
  mutable uint64_t steps_ = 0;
};

}  // namespace sched
