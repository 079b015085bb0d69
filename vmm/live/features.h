// The features of the policies of a run that goes on, each with a key that switches it for all VMs. Pure, one
// owner.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "vmm/live/frame.h"
#include "vmm/result.h"
#include "vmm/run_types.h"

namespace vmm {

class LiveFeatures {
 public:
  LiveFeatures() = default;
  // What the VMs begin with. Nothing can be switched where the host schedules.
  explicit LiveFeatures(std::vector<VmChange> begun_with);

  [[nodiscard]] std::vector<LiveFeature> shown() const;
  // Is it the key of a feature that could be switched?
  [[nodiscard]] bool has(char key) const;
  // The VMs' policies with the feature of this key, which has() it, at its next word; checked. They are in
  // force from here on. Or why that cannot be.
  [[nodiscard]] Result<std::vector<VmChange>> switch_feature(char key);
  // Somebody else has changed them.
  void go_on_with(std::vector<VmChange> vms) { now_ = std::move(vms); }
  // "pull=on": what the last switch was to.
  [[nodiscard]] const std::string& last() const { return last_; }

 private:
  std::vector<VmChange> begun_with_;
  std::vector<VmChange> now_;
  std::string last_;
};

// 0: it has none, because it holds for a whole run.
[[nodiscard]] char key_of_feature(std::string_view name);

}  // namespace vmm
