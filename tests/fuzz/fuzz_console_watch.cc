// A Linux guest's console on arbitrary bytes: lines stay few, short and printable, and findings do not depend
// on how the bytes came in pieces.
#include <cstdint>
#include <span>

#include "tests/fuzz/input.h"
#include "vmm/linux/console_watch.h"

using vmm::linux_guest::ConsoleWatch;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kLines = 4;
  ConsoleWatch whole(kLines);
  ConsoleWatch pieces(kLines);
  whole.add({data, size});
  for (size_t i = 0; i < size; ++i) pieces.add({data + i, 1});
  for (ConsoleWatch* watch : {&whole, &pieces}) {
    watch->finish();
    fuzz::expect(watch->lines().size() <= kLines);
    for (const auto& line : watch->lines()) {
      // Three dots' worth a byte is more than a printable line can be.
      fuzz::expect(line.size() <= 3 * ConsoleWatch::kLongestLine);
      for (const char c : line) fuzz::expect(c == '\t' || (static_cast<uint8_t>(c) >= 0x20 && c != 0x7f));
    }
  }
  fuzz::expect(whole.lines() == pieces.lines());
  const auto a = whole.findings();
  const auto b = pieces.findings();
  fuzz::expect(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    fuzz::expect(a[i].kind == b[i].kind && a[i].line == b[i].line && a[i].count == b[i].count &&
                 a[i].count > 0);
  }
  return 0;
}
