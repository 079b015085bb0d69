#include "vmm/report/page_data.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>

#include "vmm/check.h"

namespace vmm {
namespace {

// Takes what is called so out of the object; null if there is no such thing.
Json taken(Json& object, std::string_view name) {
  const auto found = object.find(name);
  if (found == object.end()) return nullptr;
  Json value = std::move(*found);
  object.erase(found);
  return value;
}

// By cell a list by policy: of what is called `name` in the object `inside` of each policy.
Json column(Json& cells, std::string_view inside, std::string_view name) {
  Json list = Json::array();
  for (Json& cell : cells) {
    Json& row = list.emplace_back(Json::array());
    for (Json& policy : cell["policies"]) {
      const auto object = policy.find(inside);
      row.push_back(object == policy.end() ? Json(nullptr) : taken(*object, name));
    }
  }
  return list;
}

bool has_value(const Json& columns) {
  for (const Json& row : columns) {
    for (const Json& value : row) {
      if (!value.is_null()) return true;
    }
  }
  return false;
}

// Everything that is of one metric alone.
PagePart metric_part(Json& data, const std::string& name) {
  Json value{{"sentences", taken(data["sentences"], name)},
             {"findings", column(data["compare"]["cells"], "metrics", name)},
             {"pairs", column(data["details"], "pairs", name)},
             {"settle", column(data["details"], "settle", name)}};
  return {name, std::move(value)};
}

// Of the metrics that have findings.
std::vector<PagePart> metric_parts(Json& data) {
  std::vector<PagePart> parts;
  if (!data.contains("metrics") || !data.contains("compare")) return parts;
  for (const Json& metric : data["metrics"]) {
    PagePart part = metric_part(data, metric.at("name").get<std::string>());
    if (has_value(part.value["findings"])) parts.push_back(std::move(part));
  }
  return parts;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t three = 0;
    for (size_t k = 0; k < 3; ++k) {
      three = three << 8 | (i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0U);
    }
    for (size_t k = 0; k < 4; ++k) {
      text += i + k <= bytes.size() ? kDigits[three >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

}  // namespace

PageData split_data(Json data) {
  PageData page;
  page.packed = metric_parts(data);
  const auto first = std::ranges::find(page.packed, "throughput", &PagePart::name);
  if (!page.packed.empty()) {
    const auto shown = first == page.packed.end() ? page.packed.begin() : first;
    page.first = std::move(*shown);
    page.packed.erase(shown);
  }
  if (data.contains("details")) {
    Json curves = column(data["details"], "ack", "cdf");
    if (has_value(curves)) page.packed.push_back({"cdf", std::move(curves)});
  }
  Json& parts = data["parts"] = Json::array();
  if (page.first) {
    data["first"] = page.first->name;
    parts.push_back(page.first->name);
  }
  for (const PagePart& part : page.packed) parts.push_back(part.name);
  page.packed.push_back({"csv", taken(data, "csv")});
  page.frame = std::move(data);
  return page;
}

std::string packed(std::string_view text) {
  std::string bytes(compressBound(text.size()), '\0');
  uLongf size = bytes.size();
  // Fails only for lack of memory: the bound is enough for any text.
  const int result = compress2(reinterpret_cast<Bytef*>(bytes.data()), &size,
                               reinterpret_cast<const Bytef*>(text.data()), text.size(), Z_BEST_COMPRESSION);
  KVMUX_CHECK(result == Z_OK, "a part of the report could not be compressed");
  bytes.resize(size);
  return base64(bytes);
}

}  // namespace vmm
