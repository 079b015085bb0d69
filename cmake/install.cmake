# What `cmake --install` and CPack put where: the program, what is made of its own --help (man pages, completions),
# documents, licence. The .deb is made by `cpack -G DEB` in the build folder.
include(GNUInstallDirs)

set(pages ${CMAKE_BINARY_DIR}/pages)
add_custom_command(OUTPUT ${pages}.stamp DEPENDS kvmux VERBATIM
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${pages}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${pages}/man1 ${pages}/bash ${pages}/zsh
  COMMAND kvmux man ${pages}/man1
  COMMAND kvmux completion bash > ${pages}/bash/kvmux
  COMMAND kvmux completion zsh > ${pages}/zsh/_kvmux
  COMMAND ${CMAKE_COMMAND} -E touch ${pages}.stamp
  COMMENT "man pages and completions")
add_custom_target(kvmux_pages ALL DEPENDS ${pages}.stamp)

install(TARGETS kvmux RUNTIME)
install(DIRECTORY ${pages}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(FILES ${pages}/bash/kvmux DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${pages}/zsh/_kvmux DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR}
        FILES_MATCHING PATTERN "*.md" PATTERN "*.svg" PATTERN "results" EXCLUDE)
# What a guest of one's own is written with (docs/write-a-guest.md).
install(FILES guest/abi.h DESTINATION ${CMAKE_INSTALL_DOCDIR}/guest)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR "The kvmux authors")
set(KVMUX_MAINTAINER "The kvmux authors <kvmux@localhost>" CACHE STRING "who answers for the Debian package")
set(CPACK_PACKAGE_CONTACT ${KVMUX_MAINTAINER})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "compares vCPU scheduling policies on oversubscribed KVM hosts")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"kvmux boots tiny guests on /dev/kvm, multiplexes their vCPUs over a few
 host threads with its own hierarchical EEVDF scheduler, and says with
 intervals and verdicts which policy does more work. Where there is no KVM
 the same scheduler runs in a simulator.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "bash-completion, zsh")
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/debian.cmake)
# `install` and cpack take what has been built: tests are none of their business.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
include(CPack)
