# SPDX-License-Identifier: Apache-2.0
# Fails unless the committed reference page is what `vmm config reference` prints now.
# cmake -D VMM=program -D PAGE=file -P compare_reference.cmake
execute_process(COMMAND ${VMM} config reference OUTPUT_VARIABLE now RESULT_VARIABLE code)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "vmm config reference ended with ${code}")
endif()
file(READ ${PAGE} page)
if(NOT page STREQUAL now)
  message(FATAL_ERROR "${PAGE} is not up to date: run `vmm config reference > docs/configuration.md`")
endif()
