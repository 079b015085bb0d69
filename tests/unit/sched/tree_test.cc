#include "sched/queue/tree.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <set>
#include <tuple>

#include "sched/base/rng.h"
#include "support.h"

using namespace sched_test;

namespace {

struct InOrder {
  bool operator()(const Entity* a, const Entity* b) const {
    return std::tuple(a->deadline.ticks, a->vruntime.ticks, a->tie) <
           std::tuple(b->deadline.ticks, b->vruntime.ticks, b->tie);
  }
};
using Model = std::set<Entity*, InOrder>;

// Height of a subtree; checks links, AVL shape and the augmentation on the way.
int checked_height(const Entity* node, const Entity* up) {
  if (node == nullptr) return 0;
  REQUIRE(node->up == up);
  const int left = checked_height(node->left, node);
  const int right = checked_height(node->right, node);
  REQUIRE(std::abs(left - right) <= 1);
  REQUIRE(node->left_height == left);
  REQUIRE(node->right_height == right);
  REQUIRE(node->left_min == (node->left != nullptr ? node->left->min_vruntime() : kNoVruntime));
  REQUIRE(node->right_min == (node->right != nullptr ? node->right->min_vruntime() : kNoVruntime));
  return node->height();
}

void check_against(const Tree& tree, const Model& model) {
  checked_height(tree.root(), nullptr);
  REQUIRE(tree.empty() == model.empty());
  REQUIRE(tree.first() == (model.empty() ? nullptr : *model.begin()));
  Entity* at = tree.first();
  for (Entity* want : model) {
    REQUIRE(at == want);
    at = Tree::next(*at);
  }
  REQUIRE(at == nullptr);
}

Entity* earliest_by_hand(const Model& model, Vruntime bound) {
  for (Entity* entity : model) {
    if (entity->vruntime <= bound) return entity;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("tree: random inserts, erases and searches agree with a set") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const uint64_t keys = 1 + rng.below(60);  // few distinct values: many ties
    std::deque<Entity> entities(1 + rng.below(90));
    Tree tree;
    Model model;
    for (int step = 0; step < 400; ++step) {
      Entity& entity = entities[rng.below(entities.size())];
      if (model.contains(&entity)) {
        tree.erase(entity);
        model.erase(&entity);
        REQUIRE_FALSE(entity.in_tree);
      } else {
        entity.tie = 0;
        for (Entity& e : entities) {
          if (&e == &entity) break;
          ++entity.tie;
        }
        entity.deadline = {static_cast<int64_t>(rng.below(keys))};
        entity.vruntime = {static_cast<int64_t>(rng.below(keys)) - 20};
        tree.insert(entity);
        model.insert(&entity);
      }
      if (step % 16 == 0) check_against(tree, model);
      const Vruntime bound{static_cast<int64_t>(rng.below(keys)) - 20};
      REQUIRE(tree.earliest([&](Vruntime v) { return v <= bound; }) == earliest_by_hand(model, bound));
    }
    check_against(tree, model);
  }
}

TEST_CASE("tree: ascending, descending and zigzag inserts stay within the AVL height") {
  const auto height_of = [](auto deadline_of) {
    std::deque<Entity> entities(1000);
    Tree tree;
    Model model;
    for (uint32_t i = 0; i < entities.size(); ++i) {
      entities[i].tie = i;
      entities[i].deadline = {deadline_of(static_cast<int64_t>(i))};
      entities[i].vruntime = {1000 - static_cast<int64_t>(i)};
      tree.insert(entities[i]);
      model.insert(&entities[i]);
    }
    check_against(tree, model);
    const int height = tree.root()->height();
    for (Entity& entity : entities) {
      tree.erase(entity);
      model.erase(&entity);
    }
    check_against(tree, model);
    return height;
  };
  const int limit = static_cast<int>(1.4405 * std::log2(1002));  // Adelson-Velsky and Landis
  CHECK(height_of([](int64_t i) { return i; }) <= limit);
  CHECK(height_of([](int64_t i) { return -i; }) <= limit);
  CHECK(height_of([](int64_t i) { return i % 2 == 0 ? i : -i; }) <= limit);
}

TEST_CASE("tree: equal deadlines go by vruntime, then by tie, never by address") {
  Entity e[3];
  e[0].tie = 2;
  e[1].tie = 1;
  e[2].tie = 0;
  e[2].vruntime = {5};
  Tree tree;
  for (Entity& entity : e) tree.insert(entity);
  CHECK(tree.first() == &e[1]);
  CHECK(Tree::next(e[1]) == &e[0]);
  CHECK(Tree::next(e[0]) == &e[2]);
}

TEST_CASE("tree: an operation visits a number of nodes that grows with the logarithm") {
  for (const uint32_t n : {8u, 64u, 1024u, 16384u}) {
    CAPTURE(n);
    std::deque<Entity> entities(n);
    Tree tree;
    Rng rng(7);
    for (uint32_t i = 0; i < n; ++i) {
      entities[i].tie = i;
      entities[i].deadline = {static_cast<int64_t>(rng.below(1 << 20))};
      entities[i].vruntime = {static_cast<int64_t>(rng.below(1 << 20))};
      tree.insert(entities[i]);
    }
    const uint64_t before = tree.steps();
    constexpr uint32_t kRounds = 256;
    for (uint32_t i = 0; i < kRounds; ++i) {
      Entity& entity = entities[rng.below(n)];
      tree.erase(entity);
      entity.deadline = {static_cast<int64_t>(rng.below(1 << 20))};
      tree.insert(entity);
      static_cast<void>(tree.earliest([&](Vruntime v) { return v.ticks <= 1000; }));
    }
    // Three walks of at most the AVL height each, and erase may walk up twice.
    const double height = 1.4405 * std::log2(n + 2);
    CHECK(static_cast<double>(tree.steps() - before) / kRounds <= 5 * height);
  }
}
