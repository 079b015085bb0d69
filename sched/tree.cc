#include "sched/tree.h"

#include <algorithm>
#include <tuple>

#include "sched/check.h"

namespace sched {
namespace {

bool before(const Entity& a, const Entity& b) {
  return std::tie(a.deadline, a.vruntime, a.id) < std::tie(b.deadline, b.vruntime, b.id);
}

int32_t height_of(const Entity* node) { return node == nullptr ? 0 : node->height; }

int32_t lean(const Entity& node) { return height_of(node.left) - height_of(node.right); }

// Recomputes what a node derives from its children; says whether anything changed.
bool refresh(Entity& node) {
  const int32_t height = 1 + std::max(height_of(node.left), height_of(node.right));
  Vruntime smallest = node.vruntime;
  if (node.left != nullptr) smallest = std::min(smallest, node.left->min_vruntime);
  if (node.right != nullptr) smallest = std::min(smallest, node.right->min_vruntime);
  const bool changed = height != node.height || smallest != node.min_vruntime;
  node.height = height;
  node.min_vruntime = smallest;
  return changed;
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
  if (node.right != nullptr) node.right->up = &node;
  riser.left = &node;
  node.up = &riser;
  refresh(node);
  refresh(riser);
  return riser;
}

Entity& Tree::rotate_right(Entity& node) {
  Entity& riser = *node.left;
  replace(node, &riser);
  node.left = riser.right;
  if (node.left != nullptr) node.left->up = &node;
  riser.right = &node;
  node.up = &riser;
  refresh(node);
  refresh(riser);
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

// Walks up from the lowest changed node for as long as something changes.
void Tree::retrace(Entity* node) {
  while (node != nullptr) {
    ++steps_;
    const bool changed = refresh(*node);
    Entity& top = balance(*node);
    if (!changed && &top == node) return;
    node = top.up;
  }
}

void Tree::insert(Entity& entity) {
  SCHED_DCHECK(entity.height == 0);
  entity.left = entity.right = nullptr;
  entity.height = 1;
  entity.min_vruntime = entity.vruntime;
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
  retrace(parent);
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
  SCHED_DCHECK(entity.height != 0);
  if (first_ == &entity) first_ = next(entity);
  Entity* lowest = nullptr;  // where retracing starts
  Entity* taken = nullptr;   // the node that took over the place, if any
  if (entity.left == nullptr || entity.right == nullptr) {
    lowest = entity.up;
    replace(entity, entity.left != nullptr ? entity.left : entity.right);
  } else {
    Entity& heir = *next(entity);  // has no left child
    if (heir.up == &entity) {
      lowest = &heir;
    } else {
      lowest = heir.up;
      replace(heir, heir.right);
      heir.right = entity.right;
      heir.right->up = &heir;
    }
    replace(entity, &heir);
    heir.left = entity.left;
    heir.left->up = &heir;
    // With the place it takes over the place's figures, so that retracing sees what has changed there.
    heir.height = entity.height;
    heir.min_vruntime = entity.min_vruntime;
    taken = &heir;
  }
  entity.left = entity.right = entity.up = nullptr;
  entity.height = 0;
  retrace(lowest);
  if (taken != lowest) retrace(taken);  // the first walk may have stopped below it
}

}  // namespace sched
