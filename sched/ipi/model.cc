#include "sched/ipi/model.h"

#include "sched/ipi/kvmux.h"
#include "sched/ipi/pair.h"

namespace sched {

std::unique_ptr<IpiModel> make_ipi_model(IpiModelKind kind, uint32_t vcpus, const IpiWindow& window) {
  switch (kind) {
    case IpiModelKind::kNone:
      return nullptr;
    case IpiModelKind::kV2:
      return std::make_unique<V2IpiModel>(vcpus, window.longest);
    case IpiModelKind::kV3:
      return std::make_unique<V3IpiModel>(vcpus, window.longest);
    case IpiModelKind::kKvmux:
      return std::make_unique<KvmuxIpiModel>(vcpus, window);
  }
  return nullptr;
}

}  // namespace sched
