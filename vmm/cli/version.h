// What this program is made of: `kvmux --version`. Result files have kVersion alone (host.h). Any thread.
#pragma once

#include <string>
#include <string_view>

namespace vmm {

// As git names it ("0123456789ab", "-dirty" behind it where files differed), empty where kvmux was not built
// in its own git repository. Defined in a file that the build makes anew when the commit changes, in the
// program only.
extern const char* const kCommit;

// Version, commit, compiler and libraries, a line each. The first is "kvmux" and the version, and nothing
// else.
std::string version_text(std::string_view commit);

}  // namespace vmm
