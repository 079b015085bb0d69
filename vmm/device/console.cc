#include "vmm/device/console.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "vmm/run/retry.h"

namespace vmm {

namespace {

// Bytes from 0x80 on are left alone: UTF-8 text.
bool harmless(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string all(text);
  std::ranges::replace_if(
      all, [](char c) { return !harmless(c); }, '.');
  return all;
}

void Console::put(VmId vm, VcpuIndex vcpu, std::string_view bytes) {
  const sched::MutexLock lock(mutex_);
  const Key key{vm, vcpu};
  add(key, pending_[key], bytes);
}

void Console::line(VmId vm, VcpuIndex vcpu, std::string_view text) {
  const sched::MutexLock lock(mutex_);
  const Key key{vm, vcpu};
  std::string& pending = pending_[key];
  if (!pending.empty()) emit(key, pending);
  add(key, pending, text);
  if (!pending.empty() || text.empty()) emit(key, pending);
}

void Console::finish(VmId vm) {
  const sched::MutexLock lock(mutex_);
  for (auto it = pending_.lower_bound({vm, VcpuIndex{0}}); it != pending_.end() && it->first.first == vm;) {
    if (!it->second.empty()) emit(it->first, it->second);
    it = pending_.erase(it);
  }
}

void Console::add(const Key& key, std::string& pending, std::string_view bytes) {
  for (const char c : bytes) {
    if (c == '\n') {
      emit(key, pending);
      continue;
    }
    if (c == '\r') continue;  // serial lines end in CR LF
    if (pending.size() >= kMaxLine) emit(key, pending);
    pending.push_back(harmless(c) ? c : '.');
  }
}

void Console::emit(const Key& key, std::string& pending) {
  sink_(fmt::format("vm{}/vcpu{}| {}\n", index_of(key.first), index_of(key.second), pending));
  pending.clear();
}

Console::Sink write_lines_to(int fd) {
  return [fd](std::string_view line) {
    while (!line.empty()) {
      const ssize_t written = uninterrupted([&] { return ::write(fd, line.data(), line.size()); });
      if (written <= 0) return;  // a closed console must not stop the run
      line.remove_prefix(static_cast<size_t>(written));
    }
  };
}

}  // namespace vmm
