// JSON with fields in the order in which they were put in: results of equal runs are equal byte by byte.
#pragma once

#include <cmath>
#include <concepts>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace vmm {

using Json = nlohmann::ordered_json;

// A number that does not fit where it is to go. Caught like all of nlohmann's.
class BadNumber : public Json::exception {
 public:
  explicit BadNumber(const std::string& what) : Json::exception(0, what.c_str()) {}
};

// On one line, or indented. Bytes that are not UTF-8 (a file name may have them) are replaced, never thrown
// at.
inline std::string dump(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

template <class T>
concept WholeNumber = std::integral<T> && !std::same_as<T, bool>;

// Throws BadNumber. 3.0 is a whole number, 3.5 and 1e300 are none.
template <WholeNumber T, class J>
void read_whole_number(const J& json, T& value) {
  bool fits = true;
  if (json.is_number_float()) {
    const double number = json.template get<double>();
    // One above the largest: a power of two, and so exact.
    const double end = std::ldexp(1.0, std::numeric_limits<T>::digits);
    fits = number >= static_cast<double>(std::numeric_limits<T>::min()) && number < end &&
           number == std::trunc(number);
    if (fits) value = static_cast<T>(number);
  } else if (const auto* natural = json.template get_ptr<const typename J::number_unsigned_t*>()) {
    fits = std::in_range<T>(*natural);
    if (fits) value = static_cast<T>(*natural);
  } else if (const auto* integer = json.template get_ptr<const typename J::number_integer_t*>()) {
    fits = std::in_range<T>(*integer);
    if (fits) value = static_cast<T>(*integer);
  } else {
    nlohmann::from_json(json, value);  // says what it is instead
  }
  if (!fits) {
    throw BadNumber(json.dump() + " is no whole number from " +
                    std::to_string(std::numeric_limits<T>::min()) + " to " +
                    std::to_string(std::numeric_limits<T>::max()));
  }
}

}  // namespace vmm

// Every conversion of a number in a file to an integer of ours: nlohmann's own wraps what is too large
// around, and of 1e300 it makes anything.
template <vmm::WholeNumber T>
struct nlohmann::adl_serializer<T, void> {
  template <class J>
  static void to_json(J& json, T value) {
    nlohmann::to_json(json, value);
  }
  template <class J>
  static void from_json(const J& json, T& value) {
    vmm::read_whole_number(json, value);
  }
};
