// Debian packages as trees of files, for any user and without installing them: from a suite's mirror by
// apt-get with lists of its own, or from what was fetched before. Starts processes and uses the network:
// before the sandbox closes. One caller at a time.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/linux/default_image.h"
#include "vmm/result.h"

namespace vmm::linux_guest {

struct Package {
  std::string name;
  std::string version;
  std::vector<std::string> depends;  // names alone; all alternatives, in order
  std::string tree;                  // where it is unpacked
};

// "libc6 (>= 2.34), a:any | b" as names.
[[nodiscard]] std::vector<std::string> names_in_depends(std::string_view field);
// Of lines of a sources.list or .sources file: the first mirror that has Debian's whole archive; empty: none.
[[nodiscard]] std::string mirror_in(std::string_view sources);
// The suite that this machine runs, if it runs Debian; else the stable one that is known.
[[nodiscard]] std::string default_suite();

class PackageSource {
 public:
  // `folder`: of the cache. Unpacked trees lie below `work`, which must outlive all use of them.
  PackageSource(std::string folder, std::string suite, bool offline, std::string work, Say say);

  // Unpacks one, fetching it first where it is not in the cache.
  [[nodiscard]] Result<Package> get(const std::string& name);
  // Fetches all that are missing by one command, where that may be; what cannot be had is found out by get().
  void prefetch(std::span<const std::string> names);

  [[nodiscard]] const std::string& suite() const { return suite_; }

 private:
  [[nodiscard]] Result<void> prepare();
  [[nodiscard]] Result<std::map<std::string, std::string>> places_of(std::span<const std::string> names);
  [[nodiscard]] Result<std::string> fetch(const std::string& name);
  [[nodiscard]] std::string newest_kept(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> apt(std::string_view command) const;

  std::string folder_;
  std::string suite_;
  bool offline_;
  std::string work_;
  Say say_;
  bool prepared_ = false;
  std::map<std::string, std::string> files_;  // by package, of those that are there
  std::string why_not_;                       // of the last that could not be fetched
  std::string trouble_;                       // why apt-get cannot be used; what is kept is used then
};

}  // namespace vmm::linux_guest
