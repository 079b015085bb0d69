# Writes which commit is built as a C++ file, and touches the file only when that changes, so that moving HEAD compiles
# one small file. cmake -DSOURCE=… -DOUTPUT=… -P commit.cmake
#
# In a tarball there is no commit to name, even where it was unpacked inside somebody else's repository.
set(commit "")
find_program(GIT git)
if(GIT)
  execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse --show-toplevel
                  OUTPUT_VARIABLE top OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  file(REAL_PATH "${SOURCE}" source)
  if(top)
    file(REAL_PATH "${top}" top)
  endif()
  if(top STREQUAL source)
    execute_process(COMMAND ${GIT} -C ${SOURCE} describe --tags --always --dirty --abbrev=12
                    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
endif()
set(text "// Made by commit.cmake.\n#include \"vmm/cli/version.h\"\n\nconst char* const vmm::kCommit = \"${commit}\";\n")
set(old "")
if(EXISTS "${OUTPUT}")
  file(READ "${OUTPUT}" old)
endif()
if(NOT old STREQUAL text)
  file(WRITE "${OUTPUT}" "${text}")
endif()
