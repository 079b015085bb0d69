// An initial RAM disk as the kernel unpacks it: cpio "newc"
// (Documentation/driver-api/early-userspace/buffer-format.rst). The same content gives the same bytes: names
// in order, no times, no users. Pure; one owner.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace vmm::linux_guest {

class RamDisk {
 public:
  // Paths have no slash in front: "usr/bin/pigz". Folders above are made. What is put twice is what came
  // last.
  void folder(const std::string& path);
  void file(const std::string& path, std::string bytes, bool executable);
  void link(const std::string& path, std::string target);
  void character_device(const std::string& path, uint32_t major, uint32_t minor);

  [[nodiscard]] bool has(const std::string& path) const { return entries_.contains(path); }
  // The archive.
  [[nodiscard]] std::string bytes() const;

 private:
  struct Entry {
    uint32_t mode = 0;  // as stat() has it
    std::string content;
    uint32_t major = 0, minor = 0;
  };
  void put(const std::string& path, Entry entry);

  std::map<std::string, Entry> entries_;
};

// gzip (RFC 1952) without name and time. Empty: no memory.
[[nodiscard]] std::string gzip(const std::string& bytes);

}  // namespace vmm::linux_guest
