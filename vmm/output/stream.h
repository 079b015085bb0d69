// A std::ostream that writes to an outlet: nothing printed to it waits for a reader. Flushing it flushes the
// outlet, which waits for a moment only. One thread.
#pragma once

#include <ostream>
#include <streambuf>

#include "vmm/output/outlet.h"

namespace vmm {

class OutletStream final : public std::ostream {
 public:
  // The outlet must outlive the stream.
  explicit OutletStream(Outlet& outlet) : std::ostream(nullptr), buffer_(outlet) { rdbuf(&buffer_); }

 private:
  class Buffer final : public std::streambuf {
   public:
    explicit Buffer(Outlet& outlet) : outlet_(outlet) {}

   protected:
    int_type overflow(int_type c) override {
      if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
      const char byte = traits_type::to_char_type(c);
      outlet_.put({&byte, 1});
      return c;
    }
    std::streamsize xsputn(const char* bytes, std::streamsize count) override {
      outlet_.put({bytes, static_cast<size_t>(count)});
      return count;
    }
    int sync() override {
      outlet_.flush();
      return 0;
    }

   private:
    Outlet& outlet_;
  };

  Buffer buffer_;
};

}  // namespace vmm
