# SPDX-License-Identifier: Apache-2.0
add_custom_target(threads_tests)  # all that the ThreadSanitizer job runs
add_custom_target(fuzzers)

# A room of the house: one target, one include root, a list of what it may see.
#
# vmm_module(<name> [AT path] SOURCES ... HEADERS ... [DEPS ...] [PRIVATE_DEPS ...])
#
# The folder that calls this becomes visible as "<path>/..." (by default "<name>/...") to those who
# name vmm::<name> in their DEPS, and to nobody else: the root that goes on the include path is a
# folder in the build tree that holds one link, so neither the project's root nor a neighbour can be
# reached from it.
# DEPS shows in the module's headers, PRIVATE_DEPS only in its .cpp files.
# Names of those sources, as alternatives of a regular expression, whose first #include is their own
# header.
function(vmm_begun_with result)
  set(names "")
  foreach(source ${ARGN})
    cmake_path(GET source STEM name)
    file(STRINGS ${source} first REGEX "^#include" LIMIT_COUNT 1)
    if(first MATCHES "/${name}\\.hpp\"$")
      list(APPEND names ${name})
    endif()
  endforeach()
  list(JOIN names "|" names)
  set(${result} "${names}" PARENT_SCOPE)
endfunction()

function(vmm_module name)
  cmake_parse_arguments(PARSE_ARGV 1 M "" "AT" "SOURCES;HEADERS;DEPS;PRIVATE_DEPS")
  if(NOT M_AT)
    set(M_AT ${name})
  endif()
  set(root ${CMAKE_BINARY_DIR}/rooms/${name})
  cmake_path(GET M_AT PARENT_PATH parent)
  file(MAKE_DIRECTORY ${root}/${parent})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${root}/${M_AT} SYMBOLIC)
  # Each header is compiled alone, unless a source includes it first and so proves the same.
  vmm_begun_with(begun ${M_SOURCES})
  set(headers ${M_HEADERS})
  set(proven ${M_HEADERS})
  list(FILTER headers EXCLUDE REGEX "^(.*/)?(${begun})\\.hpp$")
  list(FILTER proven INCLUDE REGEX "^(.*/)?(${begun})\\.hpp$")
  list(TRANSFORM headers PREPEND ${root}/${M_AT}/)
  list(TRANSFORM proven PREPEND ${root}/${M_AT}/)
  if(M_SOURCES)
    add_library(vmm_${name} STATIC ${M_SOURCES})
    target_sources(vmm_${name} PUBLIC
      FILE_SET HEADERS BASE_DIRS ${root} FILES ${headers}
      FILE_SET proven TYPE HEADERS BASE_DIRS ${root} FILES ${proven})
    target_link_libraries(vmm_${name} PUBLIC ${M_DEPS} PRIVATE vmm::options ${M_PRIVATE_DEPS})
  else()
    add_library(vmm_${name} INTERFACE)
    target_sources(vmm_${name} INTERFACE FILE_SET HEADERS BASE_DIRS ${root} FILES ${headers})
    target_link_libraries(vmm_${name} INTERFACE ${M_DEPS})
  endif()
  add_library(vmm::${name} ALIAS vmm_${name})
  set_target_properties(vmm_${name} PROPERTIES
    VERIFY_INTERFACE_HEADER_SETS ON INTERFACE_HEADER_SETS_TO_VERIFY HEADERS)
endfunction()

# Tests are compiled more often than they run: not optimised they take half the time under sanitizers.
set(VMM_TEST_OPTIONS -O0)

if(CMAKE_CROSSCOMPILING_EMULATOR)
  include(${CMAKE_SOURCE_DIR}/tests/emulation/emulation.cmake)
endif()

# vmm_test(<name> SOURCES ... DEPS ... [LABELS ...] [TIMEOUT seconds] [SHARDS n]): one test program per room or device.
# Label `threads` puts it into the ThreadSanitizer job as well, `kvm` says that it needs /dev/kvm.
# For a developer each case runs in a process of its own, with TIMEOUT seconds. In `./do test`, where the starts of
# processes take longer than most cases, SHARDS processes (one unless told) share the cases: more are for cases that wait.
function(vmm_test name)
  cmake_parse_arguments(PARSE_ARGV 1 T "" "TIMEOUT;SHARDS" "SOURCES;DEPS;LABELS")
  if(NOT VMM_BUILD_TESTS OR (CMAKE_CROSSCOMPILING_EMULATOR AND NOT name IN_LIST VMM_EMULATED_ROOMS))
    return()
  endif()
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 60)
  endif()
  add_executable(${name}_test ${T_SOURCES} ${VMM_EMULATION})
  target_link_libraries(${name}_test PRIVATE vmm::options ${T_DEPS} vmm::test_support
                                             GTest::gmock_main)
  target_compile_options(${name}_test PRIVATE ${VMM_TEST_OPTIONS})
  target_precompile_headers(${name}_test REUSE_FROM vmm_test_pch)
  list(APPEND T_LABELS unit)
  if("threads" IN_LIST T_LABELS)
    add_dependencies(threads_tests ${name}_test)
  endif()
  if(VMM_SANITIZE OR CMAKE_UNITY_BUILD)
    vmm_sharded_test(${name} ${T_TIMEOUT} "${T_SHARDS}" "${T_LABELS}")
    return()
  endif()
  gtest_discover_tests(${name}_test DISCOVERY_TIMEOUT 60
    TEST_LIST ${name}_tests PROPERTIES TIMEOUT ${T_TIMEOUT})
  # gtest_discover_tests() takes a list of labels apart: they are set when ctest reads the list of tests.
  set(script ${CMAKE_CURRENT_BINARY_DIR}/${name}_labels.cmake)
  file(CONFIGURE OUTPUT ${script} @ONLY CONTENT
       [[set_tests_properties(${@name@_tests} PROPERTIES LABELS "@T_LABELS@")]])
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${script})
endfunction()

# The cases of a program in few processes. tools/count_tests.py finds the results of each through GTEST_OUTPUT.
function(vmm_sharded_test name timeout shards labels)
  if(NOT shards)
    set(shards 1)
  endif()
  math(EXPR last "${shards} - 1")
  math(EXPR limit "${timeout} * 10 / ${shards}")
  foreach(shard RANGE ${last})
    set(test ${name}.shard${shard})
    add_test(NAME ${test} COMMAND ${name}_test)
    set_tests_properties(${test} PROPERTIES LABELS "${labels}" TIMEOUT ${limit} ENVIRONMENT
      "GTEST_BRIEF=1;GTEST_TOTAL_SHARDS=${shards};GTEST_SHARD_INDEX=${shard};GTEST_OUTPUT=xml:${CMAKE_CURRENT_BINARY_DIR}/${test}.xml;${VMM_EMULATION_FILTER}")
  endforeach()
endfunction()

# vmm_fuzz(<name> SOURCES ... DEPS ...): a libFuzzer target, built by the `asan` preset only.
function(vmm_fuzz name)
  cmake_parse_arguments(PARSE_ARGV 1 F "" "" "SOURCES;DEPS")
  if(NOT VMM_BUILD_FUZZERS)
    return()
  endif()
  add_executable(${name}_fuzz ${F_SOURCES})
  target_link_libraries(${name}_fuzz PRIVATE vmm::options ${F_DEPS} vmm::test_support)
  target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
  set_target_properties(${name}_fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzzers)
  add_dependencies(fuzzers ${name}_fuzz)
endfunction()
