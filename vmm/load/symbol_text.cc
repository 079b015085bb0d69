#include "vmm/load/symbol_text.h"

#include <algorithm>
#include <charconv>
#include <cctype>
#include <string_view>

namespace vmm {
namespace {

constexpr size_t kLongestName = 80;

struct Line {
  uint64_t address = 0;
  char type = 0;
  std::string_view name;  // to the line's end
};

bool is_graphic(char c) { return std::isgraph(static_cast<unsigned char>(c)) != 0; }

std::optional<Line> parse_line(std::string_view text) {
  constexpr size_t kFewestDigits = 8;  // of a 32-bit kernel
  Line line;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), line.address, 16);
  const auto digits = static_cast<size_t>(end - text.data());
  if (error != std::errc{} || digits < kFewestDigits || digits > 16) return std::nullopt;
  text.remove_prefix(digits);
  // " T name"
  if (text.size() < 4 || text[0] != ' ' || text[2] != ' ' || std::isalpha(static_cast<unsigned char>(text[1])) == 0)
    return std::nullopt;
  line.type = text[1];
  line.name = text.substr(3);
  return line;
}

bool is_code(char type) { return std::string_view{"tTwW"}.find(type) != std::string_view::npos; }

// "name", or "name [module]". Empty: it is neither.
std::string name_of(std::string_view text) {
  const size_t end = std::min(text.size(), text.find_first_of(" \t"));
  std::string name{text.substr(0, std::min(end, kLongestName))};
  if (!std::all_of(name.begin(), name.end(), is_graphic)) return {};
  text.remove_prefix(end);
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(" \t")));
  if (text.empty()) return name;
  const bool module = text.size() > 2 && text.size() <= kLongestName && text.front() == '[' && text.back() == ']' &&
                      std::all_of(text.begin(), text.end(), is_graphic);
  return module ? name + " " + std::string{text} : std::string{};
}

}  // namespace

TextSymbols text_symbols(ImageBytes file) {
  std::string_view rest(reinterpret_cast<const char*>(file.data()), file.size());
  TextSymbols found;
  std::vector<Symbol> symbols;
  bool hidden = false;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view text = rest.substr(0, end);
    rest.remove_prefix(std::min(rest.size(), end + 1));
    if (text.ends_with('\r')) text.remove_suffix(1);
    const auto line = parse_line(text);
    if (!line) continue;
    if (line->name.starts_with("The real System.map")) {
      found.what = "the stand-in for a System.map in a Debian package: the real one is in the kernel's -dbg package";
      return found;
    }
    if (!is_code(line->type)) continue;
    std::string name = name_of(line->name);
    if (name.empty()) continue;
    hidden = hidden || line->address == 0;
    if (line->address != 0) symbols.push_back({.start = line->address, .bytes = 0, .name = std::move(name)});
  }
  found.table = SymbolTable(std::move(symbols));
  if (found.table.empty() && hidden) {
    found.what = "the text of /proc/kallsyms with all addresses 0: the kernel hides them (kptr_restrict), read it as root";
  }
  return found;
}

}  // namespace vmm
