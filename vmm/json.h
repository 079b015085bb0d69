// JSON with fields in the order in which they were put in: results of equal runs are equal byte by byte.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace vmm {

using Json = nlohmann::ordered_json;

// On one line, or indented. Bytes that are not UTF-8 (a file name may have them) are replaced, never thrown
// at.
inline std::string dump(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace vmm
