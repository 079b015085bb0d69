# The report's page as data inside the program: page/* and the charting library (charts/fetch.cmake). A change of the
# page rebuilds one assembler file.
option(KVMUX_REPORT_CHARTS "Embed a charting library from the npm registry in reports, if npm can get it" ON)

set(charts ${CMAKE_BINARY_DIR}/report_charts)
set(npm "")
if(KVMUX_REPORT_CHARTS)
  find_program(NPM_PROGRAM npm)
  if(NPM_PROGRAM)
    set(npm ${NPM_PROGRAM})
  endif()
endif()
set(switch ${charts}/npm.txt)  # fetched anew when this changes
file(GENERATE OUTPUT ${switch} CONTENT "${npm}\n")
foreach(bundle d3 plot)  # one that could not be fetched is tried again after each configuration
  if(npm AND EXISTS ${charts}/${bundle}.js)
    file(SIZE ${charts}/${bundle}.js bytes)
    if(bytes EQUAL 0)
      file(REMOVE ${charts}/${bundle}.js)
    endif()
  endif()
endforeach()
set(report_folder ${CMAKE_CURRENT_LIST_DIR})
add_custom_command(OUTPUT ${charts}/d3.js ${charts}/plot.js
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${report_folder}/charts -DOUTPUT=${charts} "-DNPM=${npm}" -P ${report_folder}/charts/fetch.cmake
  DEPENDS ${report_folder}/charts/fetch.cmake ${report_folder}/charts/package.json ${report_folder}/charts/package-lock.json ${switch}
  COMMENT "" VERBATIM)

file(GLOB page_parts CONFIGURE_DEPENDS ${report_folder}/page/*.html ${report_folder}/page/*.css ${report_folder}/page/*.js)
set(parts_table "")
set(parts_images "")
set(number 0)
foreach(part ${page_parts} ${charts}/d3.js ${charts}/plot.js)
  get_filename_component(name ${part} NAME)
  string(APPEND parts_table "KVMUX_PART(${number}, \"${name}\")\n")
  string(APPEND parts_images "KVMUX_IMAGE ${number}, \"${part}\"\n")
  math(EXPR number "${number} + 1")
endforeach()
file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/report/report_parts.inc CONTENT "${parts_table}")
file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/report/report_images.inc CONTENT "${parts_images}")

set(generated ${CMAKE_CURRENT_BINARY_DIR}/report)
# Not with the flags of C++, and by file: a flag for all of kvmux_vmm would compile all of it anew.
add_library(kvmux_report_images OBJECT ${report_folder}/embedded_parts.S)
target_include_directories(kvmux_report_images PRIVATE ${generated})
set_source_files_properties(${report_folder}/embedded_parts.S PROPERTIES
  OBJECT_DEPENDS "${page_parts};${charts}/d3.js;${charts}/plot.js;${generated}/report_images.inc")
set_source_files_properties(${report_folder}/embedded_parts.cc PROPERTIES INCLUDE_DIRECTORIES ${generated}
  OBJECT_DEPENDS ${generated}/report_parts.inc)
target_sources(kvmux_vmm PRIVATE $<TARGET_OBJECTS:kvmux_report_images>)
