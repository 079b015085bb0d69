# Fetches the charting library at build time: cmake -DSOURCE=this-folder -DOUTPUT=folder [-DNPM=npm] -P fetch.cmake
#
# Writes OUTPUT/d3.js and OUTPUT/plot.js: the published bundles, checked by npm against the lock file's hashes, or
# empty files where there is no npm or the registry does not answer in time. Never fails: the report does without.
set(limit 60)  # s, all together

function(without why)
  message("report: no charting library (${why}); reports will show tables instead of charts")
  file(WRITE ${OUTPUT}/d3.js "")
  file(WRITE ${OUTPUT}/plot.js "")
endfunction()

if(NOT NPM)
  without("npm is not installed, or charts are switched off")
  return()
endif()
file(MAKE_DIRECTORY ${OUTPUT}/npm)
file(COPY ${SOURCE}/package.json ${SOURCE}/package-lock.json DESTINATION ${OUTPUT}/npm)
execute_process(
  COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund --prefer-offline --fetch-timeout=15000 --fetch-retries=1
          --fetch-retry-mintimeout=500 --fetch-retry-maxtimeout=1000
  WORKING_DIRECTORY ${OUTPUT}/npm TIMEOUT ${limit} RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
set(d3 ${OUTPUT}/npm/node_modules/d3/dist/d3.min.js)
set(plot ${OUTPUT}/npm/node_modules/@observablehq/plot/dist/plot.umd.min.js)
if(NOT result STREQUAL "0" OR NOT EXISTS ${d3} OR NOT EXISTS ${plot})
  without("npm ci: ${result}")
  return()
endif()
# Their licence (ISC) goes where they go: into each page.
file(WRITE ${OUTPUT}/open.txt "/*!\n")
file(WRITE ${OUTPUT}/close.txt "*/\n")
foreach(bundle d3 plot)
  set(folder ${${bundle}})
  cmake_path(GET folder PARENT_PATH folder)
  execute_process(COMMAND ${CMAKE_COMMAND} -E cat ${OUTPUT}/open.txt ${folder}/../LICENSE ${OUTPUT}/close.txt ${${bundle}}
                  OUTPUT_FILE ${OUTPUT}/${bundle}.js RESULT_VARIABLE result)
  if(NOT result STREQUAL "0")
    without("its files could not be copied: ${result}")
    return()
  endif()
endforeach()
