#include "sched/queue/tree.h"

#include <algorithm>
#include <tuple>

#include "sched/base/check.h"

namespace sched {
namespace {

bool before(const Entity& a, const Entity& b) {
  return std::tie(a.deadline, a.vruntime, a.tie) < std::tie(b.deadline, b.vruntime, b.tie);
}

int lean(const Entity& node) { return node.left_height - node.right_height; }

// Records in a node what it has to know of the subtree on this side.
void note(Entity& node, bool left) {
  const Entity* child = left ? node.left : node.right;
  (left ? node.left_min : node.right_min) = child != nullptr ? child->min_vruntime() : kNoVruntime;
  (left ? node.left_height : node.right_height) =
      child != nullptr ? static_cast<uint8_t>(child->height()) : uint8_t{0};
}

}  // namespace

Entity*& Tree::link_to(Entity& entity) {
  if (entity.up == nullptr) return root_;
  return entity.up->left == &entity ? entity.up->left : entity.up->right;
}

void Tree::replace(Entity& old_node, Entity* new_node) {
  link_to(old_node) = new_node;
  if (new_node != nullptr) new_node->up = old_node.up;
}

Entity& Tree::rotate_left(Entity& node) {
  Entity& riser = *node.right;
  replace(node, &riser);
  node.right = riser.left;
  node.right_min = riser.left_min;
  node.right_height = riser.left_height;
  if (node.right != nullptr) node.right->up = &node;
  riser.left = &node;
  node.up = &riser;
  note(riser, true);
  return riser;
}

Entity& Tree::rotate_right(Entity& node) {
  Entity& riser = *node.left;
  replace(node, &riser);
  node.left = riser.right;
  node.left_min = riser.right_min;
  node.left_height = riser.right_height;
  if (node.left != nullptr) node.left->up = &node;
  riser.right = &node;
  node.up = &riser;
  note(riser, false);
  return riser;
}

// Restores the AVL shape at a node whose children are in order; returns the subtree's new root.
Entity& Tree::balance(Entity& node) {
  if (lean(node) > 1) {
    if (lean(*node.left) < 0) rotate_left(*node.left);
    return rotate_right(node);
  }
  if (lean(node) < -1) {
    if (lean(*node.right) > 0) rotate_right(*node.right);
    return rotate_left(node);
  }
  return node;
}

// Walks up from a node whose subtree on one side has changed, for as long as that changes something; at least
// past `changed`, a node that is new in its place.
void Tree::retrace(Entity* node, bool left, const Entity* changed) {
  while (node != nullptr) {
    ++steps_;
    const int height = node->height();
    const Vruntime smallest = node->min_vruntime();
    note(*node, left);
    Entity& top = balance(*node);
    if (changed == nullptr && top.height() == height && top.min_vruntime() == smallest) return;
    if (node == changed) changed = nullptr;
    node = top.up;
    left = node != nullptr && node->left == &top;
  }
}

void Tree::insert(Entity& entity) {
  SCHED_DCHECK(!entity.in_tree);
  entity.left = entity.right = nullptr;
  entity.left_min = entity.right_min = kNoVruntime;
  entity.left_height = entity.right_height = 0;
  entity.in_tree = true;
  Entity* parent = nullptr;
  Entity** link = &root_;
  bool leftmost = true;
  while (*link != nullptr) {
    ++steps_;
    parent = *link;
    if (before(entity, *parent)) {
      link = &parent->left;
    } else {
      link = &parent->right;
      leftmost = false;
    }
  }
  *link = &entity;
  entity.up = parent;
  if (leftmost) first_ = &entity;
  if (parent != nullptr) retrace(parent, parent->left == &entity, nullptr);
}

Entity* Tree::next(const Entity& entity) {
  if (entity.right != nullptr) {
    Entity* node = entity.right;
    while (node->left != nullptr) node = node->left;
    return node;
  }
  const Entity* node = &entity;
  while (node->up != nullptr && node->up->right == node) node = node->up;
  return node->up;
}

void Tree::erase(Entity& entity) {
  SCHED_DCHECK(entity.in_tree);
  if (first_ == &entity) first_ = next(entity);
  if (entity.left == nullptr || entity.right == nullptr) {
    Entity* up = entity.up;
    const bool left = up != nullptr && up->left == &entity;
    replace(entity, entity.left != nullptr ? entity.left : entity.right);
    retrace(up, left, nullptr);
  } else {
    take_over(entity, *next(entity));
  }
  entity.left = entity.right = entity.up = nullptr;
  entity.in_tree = false;
}

// The next entity in order, which has no left child, takes the place of one that leaves. What it records of
// the subtrees there is as of before, so that retracing sees what has changed.
void Tree::take_over(Entity& entity, Entity& heir) {
  const bool adjacent = heir.up == &entity;
  Entity* lowest = adjacent ? &heir : heir.up;
  if (!adjacent) {
    replace(heir, heir.right);
    heir.right = entity.right;
    heir.right->up = &heir;
    heir.right_min = entity.right_min;
    heir.right_height = entity.right_height;
  }
  replace(entity, &heir);
  heir.left = entity.left;
  heir.left->up = &heir;
  heir.left_min = entity.left_min;
  heir.left_height = entity.left_height;
  retrace(lowest, !adjacent, &heir);
}

}  // namespace sched
