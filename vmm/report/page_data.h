// The report's data as the page holds it: what it parses when it opens apart from what somebody must ask for
// first, so that a page of many runs opens fast and is small.
//
//   frame    all of report_data() but the parts; `first` and `parts` are their names
//   first    the metric that is drawn first, plain
//   packed   all other metrics, the distributions' curves ("cdf") and the CSV, compressed
//
// page/parts.js puts the parts back. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/json.h"

namespace vmm {

struct PagePart {
  std::string name;
  Json value;
};

struct PageData {
  Json frame;
  std::optional<PagePart> first;
  std::vector<PagePart> packed;
};

// Of report_data()'s object; what is not in it is not missed.
PageData split_data(Json data);

// zlib's format in base64.
std::string packed(std::string_view text);

}  // namespace vmm
