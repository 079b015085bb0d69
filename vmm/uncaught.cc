#include "vmm/uncaught.h"

#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <new>
#include <string_view>
#include <system_error>

#include "vmm/last_words.h"
#include "vmm/result.h"

namespace vmm {
namespace {

// Allocates nothing: there may be no memory.
[[noreturn]] void end_with(std::string_view why) {
  last_words("kvmux: the host is short of ");
  last_words(why);
  last_words("; the run is over\n");
  ::_exit(exit_status(ErrorKind::kHost));
}

[[noreturn]] void on_terminate() {
  if (const auto thrown = std::current_exception()) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::bad_alloc&) {
      end_with("memory");
    } catch (const std::system_error& error) {
      end_with(error.what());
    } catch (...) {  // ours: abort
    }
  }
  last_words("kvmux: an exception that nobody caught\n");
  std::abort();
}

}  // namespace

void end_on_uncaught_exceptions() { std::set_terminate(on_terminate); }

}  // namespace vmm
