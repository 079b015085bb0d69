#include "vmm/linux/ram_disk.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <zlib.h>

#include <utility>

namespace vmm::linux_guest {
namespace {

constexpr size_t kAlign = 4;
constexpr size_t kBlock = 512;  // archives end at such a multiple

void pad(std::string& text, size_t to) { text.resize((text.size() + to - 1) / to * to, '\0'); }

struct Header {
  uint32_t inode, mode, size, major, minor;
};

void append_member(std::string& archive, const Header& header, const std::string& name,
                   const std::string& content) {
  constexpr uint32_t kZero = 0;  // uid, gid, mtime, the device it lies on, checksum
  const uint32_t links = S_ISDIR(header.mode) ? 2 : 1;
  archive += "070701";
  for (const uint32_t field :
       {header.inode, header.mode, kZero, kZero, links, kZero, header.size, kZero, kZero, header.major,
        header.minor, static_cast<uint32_t>(name.size() + 1), kZero}) {
    archive += fmt::format("{:08X}", field);
  }
  archive += name;
  archive += '\0';
  pad(archive, kAlign);
  archive += content;
  pad(archive, kAlign);
}

}  // namespace

void RamDisk::put(const std::string& path, Entry entry) {
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos && !has(path.substr(0, slash))) folder(path.substr(0, slash));
  entries_[path] = std::move(entry);
}

void RamDisk::folder(const std::string& path) { put(path, {S_IFDIR | 0755, {}}); }

void RamDisk::file(const std::string& path, std::string bytes, bool executable) {
  put(path, {S_IFREG | (executable ? 0755u : 0644u), std::move(bytes)});
}

void RamDisk::link(const std::string& path, std::string target) {
  put(path, {S_IFLNK | 0777, std::move(target)});
}

void RamDisk::character_device(const std::string& path, uint32_t major, uint32_t minor) {
  put(path, {S_IFCHR | 0600, {}, major, minor});
}

std::string RamDisk::bytes() const {
  std::string archive;
  uint32_t inode = 0;
  // A folder's name is the beginning of what lies in it, so it comes first.
  for (const auto& [name, entry] : entries_) {
    const Header header{++inode, entry.mode, static_cast<uint32_t>(entry.content.size()), entry.major,
                        entry.minor};
    append_member(archive, header, name, entry.content);
  }
  append_member(archive, {0, 0, 0, 0, 0}, "TRAILER!!!", {});
  pad(archive, kBlock);
  return archive;
}

std::string gzip(const std::string& bytes) {
  z_stream stream{};
  constexpr int kGzip = 15 + 16;  // a window of 32 KiB, and gzip's frame
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));  // zlib only reads it
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const int status = deflate(&stream, Z_FINISH);
  packed.resize(status == Z_STREAM_END ? stream.total_out : 0);
  deflateEnd(&stream);
  return packed;
}

}  // namespace vmm::linux_guest
