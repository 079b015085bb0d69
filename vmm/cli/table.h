// A table as aligned text, Markdown or CSV, and the spelling of figures. Pure, any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/stats/metrics.h"

namespace vmm {

class Table {
 public:
  // Columns whose title starts with '<' are set flush left, without that sign; others flush right.
  explicit Table(const std::vector<std::string>& titles);

  void add(std::vector<std::string> row);  // as many cells as titles
  void add_rule() { rows_.emplace_back(); }

  [[nodiscard]] std::string text(std::string_view indent = "") const;
  [[nodiscard]] std::string markdown() const;

 private:
  [[nodiscard]] std::vector<size_t> widths() const;

  std::vector<std::string> titles_;
  std::vector<bool> left_;
  std::vector<std::vector<std::string>> rows_;  // an empty one is a rule
};

// One CSV line (RFC 4180), with its newline.
std::string csv_line(const std::vector<std::string>& fields);

// Columns that a UTF-8 text takes on a terminal (one per code point: no wide characters are used).
size_t display_width(std::string_view text);

std::string grouped(double value);  // 1,234,567; below 100 with decimals
std::string grouped(uint64_t value);
std::string human_time(Nanos time);      // 12.3 µs
std::string rough_time(double seconds);  // 40 s, 12 min, 3.5 h
std::string percent(double share);       // 12.3 %
std::string with_unit(Unit unit, double value);

}  // namespace vmm
