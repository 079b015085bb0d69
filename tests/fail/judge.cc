#include "tests/fail/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

namespace fail_test {
namespace {

using Json = nlohmann::json;

// Every vCPU worked, and its time is accounted for.
std::string wrong_vcpu(const Json& vcpu, double window) {
  double sum = 0;
  for (const auto& part : vcpu.at("ledger")) {
    sum += part.get<double>();
  }
  if (std::abs(sum - window) > 0.02 * window) {
    return fmt::format("a ledger of {} ns in a window of {} ns", sum, window);
  }
  if (vcpu.value("guest_errors", 0) != 0) return "a guest found errors";
  return "";
}

std::string wrong_result(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.contains("runs")) return "its JSON is not whole";
  const Json& result = json.at("runs").at(0).at("result");
  const double window = result.at("window_ns").get<double>();
  double operations = 0;  // on a busy host a VM may finish none in so short a time
  for (const Json& vm : result.at("vms")) {
    for (const Json& vcpu : vm.at("vcpus")) {
      operations += vcpu.at("operations").get<double>();
      if (std::string wrong = wrong_vcpu(vcpu, window); !wrong.empty()) return wrong;
    }
  }
  return operations == 0 ? kNothingDone : "";
}

// A guest that failed says so in the result.
bool has_failure(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.contains("runs")) return false;
  for (const Json& vm : json.at("runs").at(0).at("result").at("vms")) {
    if (!vm.value("failure", "").empty()) return true;
  }
  return false;
}

// A line of kvmux' own, which says what is wrong.
bool has_message(const std::string& err) {
  std::istringstream lines(err);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("kvmux: ") && line.size() > 20) return true;
  }
  return false;
}

}  // namespace

std::string what_is_wrong(const Subject& subject, const Ending& ending) {
  if (ending.hung) return "it hung";
  if (ending.signal != 0) return fmt::format("signal {} ended it", ending.signal);
  if (ending.status == subject.status) {
    std::string wrong;
    if (subject.measures) {
      wrong = wrong_result(ending.out);
    } else if (ending.out != subject.output) {
      wrong = "its output is not whole: '" + ending.out + "'";
    }
    // A loss that is said is none in silence.
    if (wrong.empty() || has_message(ending.err)) return "";
    return wrong;
  }
  constexpr int kDocumented[] = {0, 1, 2, 3, 130};
  if (std::find(std::begin(kDocumented), std::end(kDocumented), ending.status) == std::end(kDocumented)) {
    return fmt::format("status {}", ending.status);
  }
  if (ending.status == 1 && subject.measures && has_failure(ending.out)) return "";
  return has_message(ending.err) ? "" : fmt::format("status {} without a message", ending.status);
}

}  // namespace fail_test
