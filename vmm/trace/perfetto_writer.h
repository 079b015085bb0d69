// Perfetto's packets: tracks, slices, instants, counters, flows. What a trace means stands in perfetto.cc.
//
//   w.track(…) …;  w.slice(…), w.instant(…), w.counter(…) in any order;  w.finish(begin)
//
// finish() brings them in order of time: on a track a slice ends before the next begins, outer slices begin
// before inner ones and end after them. Pure, one thread.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "vmm/trace/proto.h"

namespace vmm {

class PerfettoWriter {
 public:
  enum class Unit : uint8_t { kTimeNs = 1, kCount = 2 };

  // Track ids are above 0 and unique; a parent comes before its children.
  void process(uint64_t id, int32_t pid, const std::string& name);
  void thread(uint64_t id, int32_t pid, int32_t tid, const std::string& name);
  void track(uint64_t id, uint64_t parent, const std::string& name);
  void counter_track(uint64_t id, uint64_t parent, const std::string& name, Unit unit);

  struct Note {  // shown beside a slice
    const char* key = nullptr;
    std::string text;
  };
  // From before to; `depth`: how many slices of the track it lies in.
  void slice(uint64_t track, int64_t from, int64_t to, uint8_t depth, const std::string& name,
             const std::vector<Note>& notes = {}, uint64_t ends_flow = 0);
  // Flows that go through it, and those that end here. `early`: before the slices that end or begin at this
  // very instant, because they follow from it.
  struct Flows {
    std::vector<uint64_t> through = {};
    std::vector<uint64_t> ends = {};
  };
  void instant(uint64_t track, int64_t at, const std::string& name, const std::vector<Note>& notes,
               const Flows& flows, bool early);
  void counter(uint64_t track, int64_t at, int64_t value);

  // The file. `begin`: the clock's reading at which it is said to begin.
  std::string finish(int64_t begin);

 private:
  struct Item {
    int64_t at = 0;
    uint16_t rank = 0;  // among those of the same instant
    ProtoMessage event;
  };
  uint64_t id_of(const std::string& name);
  static void add_note(ProtoMessage& event, const Note& note);
  void describe(ProtoMessage track);

  std::vector<ProtoMessage> tracks_;
  std::vector<Item> items_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, uint64_t> name_ids_;
};

}  // namespace vmm
