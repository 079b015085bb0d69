/* No synchronisation: every vCPU works by itself. An operation is one turn of think_ns. */
#include "guest/runtime/marks.h"
#include "guest/runtime/runtime.h"
#include "guest/runtime/work.h"

void run(struct vcpu* self) {
  for (;;) {
    think(self);
    count_operation(self);
  }
}
