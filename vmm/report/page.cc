// The page: page.html with its style sheets, scripts and data in their places.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "vmm/report/page_data.h"
#include "vmm/report/report.h"

namespace vmm {
namespace {

// A marker in page.html for each part, alone in a comment: `<!-- style page.css -->`, `<!-- script x.js -->`,
// `<!-- data -->`, `<!-- packed -->`.
constexpr std::string_view kBegin = "<!-- ";
constexpr std::string_view kEnd = " -->";

// Inside <script> text may hold anything but the end of the element. In JSON '<' stands in strings only.
std::string data_element(std::string_view attributes, const Json& data) {
  const std::string text = dump(data);
  std::string safe;
  safe.reserve(text.size());
  for (const char c : text) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return fmt::format("<script type=\"application/json\" {}>{}</script>\n", attributes, safe);
}

// What the page parses when it opens, and what it draws first.
std::string data_elements(const PageData& data, bool charts) {
  std::string text =
      data_element(fmt::format("id=\"data\" data-charts=\"{}\"", charts ? "yes" : "no"), data.frame);
  if (data.first) text += data_element(fmt::format("id=\"part-{}\"", data.first->name), data.first->value);
  return text;
}

std::string packed_elements(const PageData& data) {
  std::string text;
  for (const PagePart& part : data.packed) {
    text += fmt::format("<script type=\"text/plain\" id=\"packed-{}\">{}</script>\n", part.name,
                        packed(dump(part.value)));
  }
  return text;
}

std::string part(std::string_view marker, const PageData& data, const PageParts& parts) {
  const size_t space = marker.find(' ');
  const std::string_view kind = marker.substr(0, space);
  const std::string_view name = space == std::string_view::npos ? "" : marker.substr(space + 1);
  if (kind == "data") return data_elements(data, has_charts(parts));
  if (kind == "packed") return packed_elements(data);
  const std::string text = parts(name).value_or("");
  if (kind == "style") return "<style>\n" + text + "</style>";
  if (kind == "script") return "<script>\n\"use strict\";\n{\n" + text + "}\n</script>";
  if (kind == "library") {  // text until the first chart is drawn: compiling it takes longer than the rest
    return fmt::format("<script type=\"text/plain\" id=\"library-{}\">{}</script>",
                       name.substr(0, name.rfind('.')), text);
  }
  return "";
}

}  // namespace

bool has_charts(const PageParts& parts) {
  return !parts("d3.js").value_or("").empty() && !parts("plot.js").value_or("").empty();
}

PageParts folder_parts(const std::string& folder) {
  return [folder](std::string_view name) -> std::optional<std::string> {
    std::ifstream file{std::filesystem::path{folder} / name, std::ios::binary};
    if (!file) return embedded_parts()(name);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  };
}

std::string report_page(const Json& data, const PageParts& parts) {
  const std::string frame = parts("page.html").value_or("");
  const PageData split = split_data(data);
  std::string page;
  size_t at = 0;
  for (size_t begin = frame.find(kBegin); begin != std::string::npos; begin = frame.find(kBegin, at)) {
    const size_t end = frame.find(kEnd, begin);
    if (end == std::string::npos) break;
    page.append(frame, at, begin - at);
    page += part(std::string_view{frame}.substr(begin + kBegin.size(), end - begin - kBegin.size()), split,
                 parts);
    at = end + kEnd.size();
  }
  return page + frame.substr(at);
}

}  // namespace vmm
