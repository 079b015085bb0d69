// A figure of the host that is measured once a boot: kept in a small file of the user's own, with the boot
// and the kernel that it holds for. What is not there, is of another boot, or is damaged, counts as not kept.
//
// Opens files: before the sandbox closes, or nothing is found and nothing kept. Any thread; processes that
// write at once leave one of their figures whole.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sched/base/types.h"
#include "vmm/result.h"

namespace vmm {

using sched::Nanos;

struct HostBoot {
  std::string id;      // /proc/sys/kernel/random/boot_id
  std::string kernel;  // "6.1.0-32-amd64"
};
// Nothing: the kernel does not say.
[[nodiscard]] std::optional<HostBoot> this_boot();

// Where this user's programs keep what others need not see, the most short-lived first:
// $XDG_RUNTIME_DIR/kvmux, then $XDG_CACHE_HOME/kvmux or ~/.cache/kvmux. Absolute paths only; may be empty.
[[nodiscard]] std::vector<std::string> folders_for_figures();

class KeptFigure {
 public:
  // `folders`: to look in, in this order. `name`: of the file, and of what it says.
  KeptFigure(std::vector<std::string> folders, std::string name)
      : folders_(std::move(folders)), name_(std::move(name)) {}

  // 0 … 10 s, kept for this boot.
  [[nodiscard]] std::optional<Nanos> read(const HostBoot& boot) const;
  // In the first folder that takes it. False: none does, and the figure is measured again next time.
  bool keep(const HostBoot& boot, Nanos figure) const;

 private:
  [[nodiscard]] std::string text(const HostBoot& boot, Nanos figure) const;

  std::vector<std::string> folders_;
  std::string name_;
};

// The one that is kept, or one that is measured now, and kept if that can be. 0: it cannot be measured.
[[nodiscard]] Nanos figure_of_boot(const std::string& name, const std::function<Result<Nanos>()>& measure);

}  // namespace vmm
