// The page: page.html with its style sheets, scripts and data in their places.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "vmm/report/report.h"

namespace vmm {
namespace {

// A marker in page.html for each part, alone in a comment: `<!-- style page.css -->`, `<!-- script x.js -->`,
// `<!-- data -->`.
constexpr std::string_view kBegin = "<!-- ";
constexpr std::string_view kEnd = " -->";

// Inside <script> text may hold anything but the end of the element. In JSON '<' stands in strings only.
std::string data_element(std::string_view id, const Json& data) {
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
  return fmt::format("<script type=\"application/json\" id=\"{}\">{}</script>", id, safe);
}

// CSV is read only when somebody saves it: apart from what the page parses when it opens.
std::string data_elements(const Json& data) {
  Json csv = Json::object();
  Json rest = Json::object();
  for (const auto& [name, value] : data.items()) (name == "csv" ? csv : rest[name]) = value;
  return data_element("data", rest) + data_element("csv", csv);
}

std::string part(std::string_view marker, const Json& data, const PageParts& parts) {
  const size_t space = marker.find(' ');
  const std::string_view kind = marker.substr(0, space);
  const std::string_view name = space == std::string_view::npos ? "" : marker.substr(space + 1);
  if (kind == "data") return data_elements(data);
  const std::string text = parts(name).value_or("");
  if (kind == "style") return "<style>\n" + text + "</style>";
  if (kind == "library") return text.empty() ? "" : "<script>\n" + text + "</script>";
  if (kind == "script") return "<script>\n\"use strict\";\n{\n" + text + "}\n</script>";
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
  std::string page;
  size_t at = 0;
  for (size_t begin = frame.find(kBegin); begin != std::string::npos; begin = frame.find(kBegin, at)) {
    const size_t end = frame.find(kEnd, begin);
    if (end == std::string::npos) break;
    page.append(frame, at, begin - at);
    page +=
        part(std::string_view{frame}.substr(begin + kBegin.size(), end - begin - kBegin.size()), data, parts);
    at = end + kEnd.size();
  }
  return page + frame.substr(at);
}

}  // namespace vmm
