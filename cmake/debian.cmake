# Before a .deb is packed: what Debian wants in other places than `cmake --install` puts it.
if(NOT CPACK_GENERATOR STREQUAL "DEB")
  return()
endif()
set(share ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share)
file(MAKE_DIRECTORY ${share}/zsh/vendor-completions)
file(RENAME ${share}/zsh/site-functions/_kvmux ${share}/zsh/vendor-completions/_kvmux)
file(REMOVE_RECURSE ${share}/zsh/site-functions)
file(RENAME ${share}/doc/kvmux/LICENSE ${share}/doc/kvmux/copyright)
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)  # SOURCE_DATE_EPOCH, if that is set
file(WRITE ${share}/doc/kvmux/changelog "kvmux (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium

  * What has changed is in CHANGELOG.md.

 -- ${CPACK_PACKAGE_CONTACT}  ${date}
")
file(GLOB to_pack ${share}/man/man1/*.1)
execute_process(COMMAND gzip -9n ${to_pack} ${share}/doc/kvmux/changelog COMMAND_ERROR_IS_FATAL ANY)
