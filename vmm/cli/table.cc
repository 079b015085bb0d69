#include "vmm/cli/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "vmm/check.h"

namespace vmm {
namespace {

std::string padded(const std::string& text, size_t width, bool left) {
  const std::string space(width - std::min(width, display_width(text)), ' ');
  return left ? text + space : space + text;
}

std::string trimmed(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace

Table::Table(const std::vector<std::string>& titles) {
  for (const std::string& title : titles) {
    left_.push_back(title.starts_with('<'));
    titles_.push_back(left_.back() ? title.substr(1) : title);
  }
}

void Table::add(std::vector<std::string> row) {
  KVMUX_CHECK(row.size() == titles_.size(), "a table row has a cell for each column");
  rows_.push_back(std::move(row));
}

std::vector<size_t> Table::widths() const {
  std::vector<size_t> widths;
  for (const std::string& title : titles_) widths.push_back(display_width(title));
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  }
  return widths;
}

std::string Table::text(std::string_view indent) const {
  const auto widths = this->widths();
  size_t total = 2 * (widths.size() - 1);
  for (const size_t width : widths) total += width;
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text{indent};
    for (size_t i = 0; i < cells.size(); ++i) {
      text += (i == 0 ? "" : "  ") + padded(cells[i], widths[i], left_[i]);
    }
    return trimmed(text) + "\n";
  };
  const std::string rule = std::string{indent} + std::string(total, '-') + "\n";
  std::string text = line(titles_) + rule;
  for (const auto& row : rows_) text += row.empty() ? rule : line(row);
  return text;
}

std::string Table::markdown() const {
  const auto line = [](const std::vector<std::string>& cells) {
    std::string text = "|";
    for (const std::string& cell : cells) text += " " + cell + " |";
    return text + "\n";
  };
  std::vector<std::string> alignment;
  for (const bool left : left_) alignment.emplace_back(left ? "---" : "---:");
  std::string text = line(titles_) + line(alignment);
  for (const auto& row : rows_) {
    if (!row.empty()) text += line(row);
  }
  return text;
}

std::string csv_line(const std::vector<std::string>& fields) {
  std::string line;
  for (const std::string& field : fields) {
    if (!line.empty()) line += ',';
    if (field.find_first_of(",\"\n") == std::string::npos) {
      line += field;
      continue;
    }
    line += '"';
    for (const char c : field) line += c == '"' ? std::string{"\"\""} : std::string{c};
    line += '"';
  }
  return line + "\n";
}

size_t display_width(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

std::string grouped(uint64_t value) {
  std::string digits = std::to_string(value);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string grouped(double value) {
  if (value < 10) return fmt::format("{:.2f}", value);
  if (value < 100) return fmt::format("{:.1f}", value);
  return grouped(static_cast<uint64_t>(std::llround(value)));
}

std::string human_time(Nanos time) {
  const auto ns = static_cast<double>(time.count());
  if (ns < 1e3) return fmt::format("{:.0f} ns", ns);
  if (ns < 1e6) return fmt::format("{:.1f} µs", ns / 1e3);
  if (ns < 1e9) return fmt::format("{:.2f} ms", ns / 1e6);
  return fmt::format("{:.2f} s", ns / 1e9);
}

std::string rough_time(double seconds) {
  if (seconds < 90) return fmt::format("{:.0f} s", std::max(1.0, seconds));
  return seconds < 5400 ? fmt::format("{:.0f} min", seconds / 60) : fmt::format("{:.1f} h", seconds / 3600);
}

std::string percent(double share) { return fmt::format("{:.1f} %", share * 100); }

std::string with_unit(Unit unit, double value) {
  switch (unit) {
    case Unit::kRate:
      return grouped(value) + "/s";
    case Unit::kNanos:
      return human_time(Nanos{std::llround(value)});
    case Unit::kShare:
      return fmt::format("{:.3f}", value);
  }
  return {};
}

}  // namespace vmm
