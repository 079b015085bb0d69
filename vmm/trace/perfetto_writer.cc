#include "vmm/trace/perfetto_writer.h"

#include <algorithm>
#include <utility>

namespace vmm {
namespace {

// protos/perfetto/trace/trace.proto, trace_packet.proto
namespace trace {
constexpr uint32_t kPacket = 1;
}
namespace packet {
constexpr uint32_t kClockSnapshot = 6;
constexpr uint32_t kTimestamp = 8;
constexpr uint32_t kSequenceId = 10;
constexpr uint32_t kTrackEvent = 11;
constexpr uint32_t kInternedData = 12;
constexpr uint32_t kSequenceFlags = 13;
constexpr uint32_t kClockId = 58;
constexpr uint32_t kTrackDescriptor = 60;
constexpr uint32_t kFirstOnSequence = 87;
constexpr uint64_t kStateCleared = 1;
constexpr uint64_t kNeedsState = 2;
}  // namespace packet
// clock_snapshot.proto, common/builtin_clock.proto
namespace clock_snapshot {
constexpr uint32_t kClocks = 1;
constexpr uint32_t kPrimary = 2;
constexpr uint32_t kClockId = 1;
constexpr uint32_t kTimestamp = 2;
constexpr uint64_t kMonotonic = 3;
constexpr uint64_t kBoottime = 6;
}  // namespace clock_snapshot
// track_event/track_descriptor.proto and those that it has
namespace descriptor {
constexpr uint32_t kUuid = 1;
constexpr uint32_t kName = 2;
constexpr uint32_t kProcess = 3;
constexpr uint32_t kThread = 4;
constexpr uint32_t kParent = 5;
constexpr uint32_t kCounter = 8;
constexpr uint32_t kProcessPid = 1;
constexpr uint32_t kProcessName = 6;
constexpr uint32_t kThreadPid = 1;
constexpr uint32_t kThreadTid = 2;
constexpr uint32_t kThreadName = 5;
constexpr uint32_t kCounterUnit = 3;
}  // namespace descriptor
// track_event/track_event.proto, debug_annotation.proto; interned_data/interned_data.proto
namespace event {
constexpr uint32_t kDebugAnnotations = 4;
constexpr uint32_t kType = 9;
constexpr uint32_t kNameId = 10;
constexpr uint32_t kTrack = 11;
constexpr uint32_t kCounterValue = 30;
constexpr uint32_t kFlows = 47;
constexpr uint32_t kEndsFlows = 48;
constexpr uint64_t kSliceBegin = 1;
constexpr uint64_t kSliceEnd = 2;
constexpr uint64_t kInstant = 3;
constexpr uint64_t kCounter = 4;
constexpr uint32_t kAnnotationName = 10;
constexpr uint32_t kAnnotationText = 6;
}  // namespace event
namespace interned {
constexpr uint32_t kEventNames = 2;
constexpr uint32_t kId = 1;
constexpr uint32_t kName = 2;
}  // namespace interned

constexpr uint64_t kSequence = 1;

// Within an instant: inner slices end first, outer ones begin first, then what happens inside.
constexpr uint16_t kDeepest = 255;
constexpr uint16_t kEarlyRank = 0;
uint16_t end_rank(uint8_t depth) { return static_cast<uint16_t>(1 + kDeepest - depth); }
uint16_t begin_rank(uint8_t depth) { return static_cast<uint16_t>(kDeepest + 2 + depth); }
constexpr uint16_t kInstantRank = 2 * kDeepest + 3;

ProtoMessage event_of(uint64_t type, uint64_t track) {
  ProtoMessage event;
  event.number(event::kType, type);
  event.number(event::kTrack, track);
  return event;
}

void add_packet(std::string& file, const ProtoMessage& packet) {
  ProtoMessage entry;
  entry.message(trace::kPacket, packet);
  file += entry.bytes();
}

// The clock of the host's run is CLOCK_MONOTONIC; the simulator's is taken for it. Perfetto's own time is
// that of BOOTTIME: the two are said to be equal here, and the former to be the file's.
ProtoMessage clock_packet(int64_t begin) {
  ProtoMessage snapshot;
  for (const uint64_t id : {clock_snapshot::kMonotonic, clock_snapshot::kBoottime}) {
    ProtoMessage clock;
    clock.number(clock_snapshot::kClockId, id);
    clock.signed_number(clock_snapshot::kTimestamp, begin);
    snapshot.message(clock_snapshot::kClocks, clock);
  }
  snapshot.number(clock_snapshot::kPrimary, clock_snapshot::kMonotonic);
  ProtoMessage packet;
  packet.number(packet::kSequenceId, kSequence);
  packet.message(packet::kClockSnapshot, snapshot);
  return packet;
}

}  // namespace

void PerfettoWriter::describe(ProtoMessage track) { tracks_.push_back(std::move(track)); }

void PerfettoWriter::process(uint64_t id, int32_t pid, const std::string& name) {
  ProtoMessage process;
  process.signed_number(descriptor::kProcessPid, pid);
  process.text(descriptor::kProcessName, name);
  ProtoMessage track;
  track.number(descriptor::kUuid, id);
  track.message(descriptor::kProcess, process);
  describe(std::move(track));
}

void PerfettoWriter::thread(uint64_t id, int32_t pid, int32_t tid, const std::string& name) {
  ProtoMessage thread;
  thread.signed_number(descriptor::kThreadPid, pid);
  thread.signed_number(descriptor::kThreadTid, tid);
  thread.text(descriptor::kThreadName, name);
  ProtoMessage track;
  track.number(descriptor::kUuid, id);
  track.message(descriptor::kThread, thread);
  describe(std::move(track));
}

void PerfettoWriter::track(uint64_t id, uint64_t parent, const std::string& name) {
  ProtoMessage track;
  track.number(descriptor::kUuid, id);
  track.text(descriptor::kName, name);
  track.number(descriptor::kParent, parent);
  describe(std::move(track));
}

void PerfettoWriter::counter_track(uint64_t id, uint64_t parent, const std::string& name, Unit unit) {
  ProtoMessage counter;
  counter.number(descriptor::kCounterUnit, static_cast<uint64_t>(unit));
  ProtoMessage track;
  track.number(descriptor::kUuid, id);
  track.text(descriptor::kName, name);
  track.number(descriptor::kParent, parent);
  track.message(descriptor::kCounter, counter);
  describe(std::move(track));
}

uint64_t PerfettoWriter::id_of(const std::string& name) {
  const auto [at, is_new] = name_ids_.emplace(name, names_.size() + 1);
  if (is_new) names_.push_back(name);
  return at->second;
}

void PerfettoWriter::add_note(ProtoMessage& event, const Note& note) {
  ProtoMessage annotation;
  annotation.text(event::kAnnotationName, note.key);
  annotation.text(event::kAnnotationText, note.text);
  event.message(event::kDebugAnnotations, annotation);
}

void PerfettoWriter::slice(uint64_t track, int64_t from, int64_t to, uint8_t depth, const std::string& name,
                           const std::vector<Note>& notes, uint64_t ends_flow) {
  if (to <= from) return;
  ProtoMessage begin = event_of(event::kSliceBegin, track);
  begin.number(event::kNameId, id_of(name));
  for (const Note& note : notes) add_note(begin, note);
  if (ends_flow != 0) begin.fixed64(event::kEndsFlows, ends_flow);
  items_.push_back({from, begin_rank(depth), std::move(begin)});
  items_.push_back({to, end_rank(depth), event_of(event::kSliceEnd, track)});
}

void PerfettoWriter::instant(uint64_t track, int64_t at, const std::string& name,
                             const std::vector<Note>& notes, const Flows& flows, bool early) {
  ProtoMessage event = event_of(event::kInstant, track);
  event.number(event::kNameId, id_of(name));
  for (const Note& note : notes) add_note(event, note);
  for (const uint64_t flow : flows.through) event.fixed64(event::kFlows, flow);
  for (const uint64_t flow : flows.ends) event.fixed64(event::kEndsFlows, flow);
  items_.push_back({at, early ? kEarlyRank : kInstantRank, std::move(event)});
}

void PerfettoWriter::counter(uint64_t track, int64_t at, int64_t value) {
  ProtoMessage event = event_of(event::kCounter, track);
  event.signed_number(event::kCounterValue, value);
  items_.push_back({at, kInstantRank, std::move(event)});
}

std::string PerfettoWriter::finish(int64_t begin) {
  std::string file;
  add_packet(file, clock_packet(begin));
  ProtoMessage interned;
  for (size_t i = 0; i < names_.size(); ++i) {
    ProtoMessage name;
    name.number(interned::kId, i + 1);
    name.text(interned::kName, names_[i]);
    interned.message(interned::kEventNames, name);
  }
  ProtoMessage first;
  first.number(packet::kSequenceId, kSequence);
  first.number(packet::kSequenceFlags, packet::kStateCleared);
  first.number(packet::kFirstOnSequence, 1);
  first.message(packet::kInternedData, interned);
  add_packet(file, first);
  for (const ProtoMessage& track : tracks_) {
    ProtoMessage packet;
    packet.number(packet::kSequenceId, kSequence);
    packet.message(packet::kTrackDescriptor, track);
    add_packet(file, packet);
  }
  std::stable_sort(items_.begin(), items_.end(),
                   [](const Item& a, const Item& b) { return a.at != b.at ? a.at < b.at : a.rank < b.rank; });
  for (const Item& item : items_) {
    ProtoMessage packet;
    packet.signed_number(packet::kTimestamp, item.at);
    packet.number(packet::kClockId, clock_snapshot::kMonotonic);
    packet.number(packet::kSequenceId, kSequence);
    packet.number(packet::kSequenceFlags, packet::kNeedsState);
    packet.message(packet::kTrackEvent, item.event);
    add_packet(file, packet);
  }
  return file;
}

}  // namespace vmm
