// Reads a report's page as its scripts do: the frame, the plain part, the packed ones.
#pragma once

#include <doctest/doctest.h>
#include <zlib.h>

#include <string>
#include <string_view>

#include "vmm/json.h"

// The text of the script element whose attributes begin with type and id as given.
inline std::string script_text(const std::string& page, const std::string& type, const std::string& id) {
  const std::string open = "<script type=\"" + type + "\" id=\"" + id + "\"";
  const size_t at = page.find(open);
  REQUIRE_MESSAGE(at != std::string::npos, "the page has no element " << id);
  const size_t begin = page.find('>', at) + 1;
  return page.substr(begin, page.find("</script>", begin) - begin);
}

inline std::string unpacked(const std::string& text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  REQUIRE(text.size() % 4 == 0);
  std::string bytes;
  unsigned bits = 0;
  int have = 0;
  bool strange = false;
  for (const char c : text.substr(0, text.find('='))) {
    const size_t digit = kDigits.find(c);
    strange = strange || digit == std::string_view::npos;
    bits = bits << 6 | static_cast<unsigned>(digit);
    have += 6;
    if (have >= 8) bytes += static_cast<char>(bits >> (have -= 8) & 255);
  }
  REQUIRE(!strange);
  std::string plain(64 << 20, '\0');
  uLongf size = plain.size();
  REQUIRE(uncompress(reinterpret_cast<Bytef*>(plain.data()), &size,
                     reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()) == Z_OK);
  plain.resize(size);
  return plain;
}

inline void adopt_metric(vmm::Json& data, const std::string& name, const vmm::Json& part) {
  data["sentences"][name] = part["sentences"];
  for (size_t c = 0; c < part["findings"].size(); ++c) {
    for (size_t p = 0; p < part["findings"][c].size(); ++p) {
      vmm::Json& details = data["details"][c]["policies"][p];
      const auto put = [&](vmm::Json& into, const char* what) {
        if (!part[what][c][p].is_null()) into[name] = part[what][c][p];
      };
      put(data["compare"]["cells"][c]["policies"][p]["metrics"], "findings");
      put(details["pairs"], "pairs");
      put(details["settle"], "settle");
    }
  }
}

// All of it, as report_data() made it.
inline vmm::Json data_of(const std::string& page) {
  using vmm::Json;
  Json data = Json::parse(script_text(page, "application/json", "data"));
  for (const Json& part : data["parts"]) {
    const auto name = part.get<std::string>();
    const bool plain = data.contains("first") && data["first"] == part;
    const Json value = Json::parse(plain ? script_text(page, "application/json", "part-" + name)
                                         : unpacked(script_text(page, "text/plain", "packed-" + name)));
    if (name != "cdf") {
      adopt_metric(data, name, value);
      continue;
    }
    for (size_t c = 0; c < value.size(); ++c) {
      for (size_t p = 0; p < value[c].size(); ++p) {
        if (!value[c][p].is_null()) data["details"][c]["policies"][p]["ack"]["cdf"] = value[c][p];
      }
    }
  }
  data["csv"] = Json::parse(unpacked(script_text(page, "text/plain", "packed-csv")));
  data.erase("parts");
  data.erase("first");
  return data;
}
