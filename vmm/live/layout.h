// What the live view's lines are laid out with. Pure, any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/cli/table.h"
#include "vmm/live/draw.h"

namespace vmm::layout {

// As much of a text as fits.
inline std::string_view cut(std::string_view text, size_t columns) {
  size_t bytes = 0;
  for (size_t used = 0; bytes < text.size(); ++used) {
    size_t next = bytes + 1;
    while (next < text.size() && (static_cast<uint8_t>(text[next]) & 0xc0) == 0x80) ++next;
    if (used == columns) break;
    bytes = next;
  }
  return text.substr(0, bytes);
}

// A line of a fixed width that is filled from the left; what has no room is cut off.
class Writer {
 public:
  explicit Writer(size_t columns) : columns_(columns) {}
  Writer& put(std::string_view text, LiveStyle style = LiveStyle::kPlain) {
    const std::string_view part = cut(text, columns_ - used_);
    if (part.empty()) return *this;
    used_ += display_width(part);
    if (!line_.empty() && line_.back().style == style) {
      line_.back().text += part;
    } else {
      line_.push_back({std::string(part), style});
    }
    return *this;
  }
  // In a field of so many columns and a blank behind it.
  Writer& left(std::string_view text, size_t width, LiveStyle style = LiveStyle::kPlain) {
    const std::string_view part = cut(text, width);
    return put(part, style).blanks(width - display_width(part) + 1);
  }
  Writer& right(std::string_view text, size_t width, LiveStyle style = LiveStyle::kPlain) {
    const std::string_view part = cut(text, width);
    return blanks(width - display_width(part)).put(part, style).blanks(1);
  }
  Writer& blanks(size_t count, LiveStyle style = LiveStyle::kPlain) {
    return put(std::string(count, ' '), style);
  }
  Writer& fill(LiveStyle style = LiveStyle::kPlain) { return blanks(left_over(), style); }
  Writer& up_to(size_t column) { return column > used_ ? blanks(column - used_) : *this; }
  Writer& add(const LiveLine& line) {
    for (const LivePiece& piece : line) put(piece.text, piece.style);
    return *this;
  }
  [[nodiscard]] size_t left_over() const { return columns_ - used_; }
  [[nodiscard]] LiveLine take() { return std::move(line_); }

 private:
  const size_t columns_;
  size_t used_ = 0;
  LiveLine line_;
};

// Lines made of equal cells, column by column; from `first` on, in at most so many rows.
class Grid {
 public:
  Grid(size_t count, size_t columns, size_t smallest_cell)
      : count_(count),
        columns_(columns),
        abreast_(std::max<size_t>(1, (columns + kGap) / (smallest_cell + kGap))) {}

  // Fewer abreast where all fit below one another.
  void fit(size_t rows) {
    while (abreast_ > 1 && (count_ + abreast_ - 2) / (abreast_ - 1) <= rows) --abreast_;
    rows_ = std::max<size_t>(1, std::min(rows, rows_needed()));
  }
  [[nodiscard]] size_t abreast() const { return abreast_; }
  [[nodiscard]] size_t rows_needed() const { return (count_ + abreast_ - 1) / abreast_; }
  [[nodiscard]] size_t rows() const { return rows_; }
  [[nodiscard]] size_t cell_width() const { return (columns_ + kGap) / abreast_ - kGap; }
  // The first that is seen: whole rows of cells are scrolled.
  [[nodiscard]] size_t clamped(size_t scroll) const { return std::min(scroll, rows_needed() - rows_); }

  template <class Cell>
  void add_to(std::vector<LiveLine>& lines, size_t scroll, Cell cell) const {
    for (size_t row = 0; row < rows_; ++row) {
      Writer writer(columns_);
      for (size_t column = 0; column < abreast_; ++column) {
        const size_t index = column * rows_needed() + scroll + row;
        if (index >= count_ || scroll + row >= rows_needed()) continue;
        writer.up_to(column * (cell_width() + kGap)).add(cell(index, cell_width()));
      }
      lines.push_back(writer.take());
    }
  }
  template <class Cell>
  LiveLine head(Cell cell) const {
    Writer writer(columns_);
    for (size_t column = 0; column < abreast_; ++column) {
      writer.up_to(column * (cell_width() + kGap)).add(cell(cell_width()));
    }
    return writer.take();
  }

 private:
  static constexpr size_t kGap = 2;
  const size_t count_;
  const size_t columns_;
  size_t abreast_;
  size_t rows_ = 1;
};

}  // namespace vmm::layout
