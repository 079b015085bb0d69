#include "vmm/load/multiboot2_tags.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace vmm {
namespace {

constexpr uint64_t kSearchBytes = 32768;
constexpr uint32_t kI386 = 0;
constexpr uint32_t kFixedBytes = 16;
constexpr uint16_t kOptional = 1;  // of a tag's flags
constexpr uint32_t kLastInformation = 21;

enum TagType : uint16_t {
  kEnd = 0,
  kInformationRequest = 1,
  kAddress = 2,
  kEntryAddress = 3,
  kConsoleFlags = 4,
  kFramebuffer = 5,
  kModuleAlignment = 6,
  kEfiBootServices = 7,
  kEfi32Entry = 8,
  kEfi64Entry = 9,
  kRelocatable = 10,
};

struct TagKind {
  std::string_view name;
  uint32_t bytes;  // at least, with type, flags and size
};
constexpr std::array kKinds{TagKind{"end", 8},
                            TagKind{"information request", 8},
                            TagKind{"address", 24},
                            TagKind{"entry address", 12},
                            TagKind{"console flags", 12},
                            TagKind{"framebuffer", 20},
                            TagKind{"module alignment", 8},
                            TagKind{"EFI boot services", 8},
                            TagKind{"EFI i386 entry address", 12},
                            TagKind{"EFI amd64 entry address", 12},
                            TagKind{"relocatable", 24}};
static_assert(kKinds.size() == kRelocatable + 1);

struct TagHead {
  uint16_t type, flags;
  uint32_t bytes;
};
static_assert(sizeof(TagHead) == 8);

Failure refuse(std::string why) { return usage_error(kMultiboot2Operation, std::move(why)); }

std::string words_of(uint16_t type) {
  return type < kKinds.size() ? fmt::format("tag {} ({})", type, kKinds[type].name)
                              : fmt::format("tag {}", type);
}

Result<void> check_information(ImageBytes content) {
  for (uint64_t at = 0; at + sizeof(uint32_t) <= content.size(); at += sizeof(uint32_t)) {
    const uint32_t type = *read_field<uint32_t>(content, at);
    if (type > kLastInformation) {
      return refuse(fmt::format("the header requires boot information of type {}, known are 1 to {}", type,
                                kLastInformation));
    }
  }
  return {};
}

// What a tag that may not be ignored asks for and is not here.
Result<void> check_required(uint16_t type, ImageBytes content) {
  constexpr uint32_t kConsoleRequired = 1;
  const auto cannot = [type](std::string_view why) {
    return refuse(fmt::format("the header requires {}: {}", words_of(type), why));
  };
  switch (type) {
    case kInformationRequest:
      return check_information(content);
    case kConsoleFlags:
      if ((*read_field<uint32_t>(content, 0) & kConsoleRequired) == 0) return {};
      return cannot("there is no screen, the console is the first serial port");
    case kEfiBootServices:
    case kEfi32Entry:
    case kEfi64Entry:
      return cannot("there is no EFI firmware");
    default:
      return type < kKinds.size() ? Result<void>{} : cannot("it is not known");
  }
}

void take(uint16_t type, ImageBytes content, Multiboot2Tags& tags) {
  if (type == kAddress) {
    const auto f = *read_field<std::array<uint32_t, 4>>(content, 0);
    tags.address = AddressFields{f[0], f[1], f[2], f[3], 0};
    tags.from_beginning = f[1] == UINT32_MAX;
  } else if (type == kEntryAddress) {
    tags.entry = *read_field<uint32_t>(content, 0);
  } else if (type == kRelocatable) {
    const auto f = *read_field<std::array<uint32_t, 4>>(content, 0);
    tags.relocatable = Relocatable{f[0], f[1], f[2], f[3]};
  }
}

// The header's bytes, with its tags.
Result<ImageBytes> bytes_of(ImageBytes file, const Multiboot2Header& h) {
  if (h.architecture != kI386) {
    return refuse(fmt::format("architecture {}, accepted is {} (i386)", h.architecture, kI386));
  }
  if (h.bytes < kFixedBytes || h.offset + h.bytes > kSearchBytes || !inside(file, h.offset, h.bytes)) {
    return refuse(
        fmt::format("the header at offset {:#x} has {} bytes, and must end in the first {} of the "
                    "file's {}",
                    h.offset, h.bytes, kSearchBytes, file.size()));
  }
  return file.subspan(h.offset, h.bytes);
}

}  // namespace

Result<Multiboot2Tags> read_multiboot2_tags(ImageBytes file, const Multiboot2Header& header) {
  constexpr uint64_t kAlign = 8;
  const auto bytes = bytes_of(file, header);
  if (!bytes) return Failure(bytes.error());
  Multiboot2Tags tags;
  for (uint64_t at = kFixedBytes;;) {
    const auto head = read_field<TagHead>(*bytes, at);
    if (!head) return refuse("the header's tags do not end with tag 0");
    if (head->type == kEnd) return tags;
    const uint32_t least = head->type < kKinds.size() ? kKinds[head->type].bytes : sizeof(TagHead);
    if (head->bytes < least || !inside(*bytes, at, head->bytes)) {
      return refuse(fmt::format("{} of the header has {} bytes, accepted are {} up to the header's end",
                                words_of(head->type), head->bytes, least));
    }
    const ImageBytes content = bytes->subspan(at + sizeof(TagHead), head->bytes - sizeof(TagHead));
    if ((head->flags & kOptional) == 0) {
      if (auto ok = check_required(head->type, content); !ok) return Failure(ok.error());
    }
    take(head->type, content, tags);
    at += (head->bytes + kAlign - 1) / kAlign * kAlign;
  }
}

}  // namespace vmm
