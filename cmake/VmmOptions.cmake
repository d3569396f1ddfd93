# SPDX-License-Identifier: Apache-2.0
# How everything of ours is compiled, and the libraries it may use.

find_package(Threads REQUIRED)

# vmm::options: warnings, hardening, sanitizers. Private to our own targets.
add_library(vmm_options INTERFACE)
add_library(vmm::options ALIAS vmm_options)
target_compile_features(vmm_options INTERFACE cxx_std_23)
target_compile_options(vmm_options INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Wold-style-cast
  -Woverloaded-virtual -Wimplicit-fallthrough -Werror
  -Wno-missing-field-initializers  # designated initialisers leave the rest at its default
  -fstack-protector-strong -ftrivial-auto-var-init=zero
  # shadow stacks; Linux has no branch tracking for programs, whose landing pads would be dead weight
  $<$<STREQUAL:${VMM_ARCHITECTURE},x86_64>:-fcf-protection=return>
  $<$<STREQUAL:${VMM_ARCHITECTURE},aarch64>:-mbranch-protection=standard>
  -fmacro-prefix-map=${CMAKE_SOURCE_DIR}/= -fmacro-prefix-map=${CMAKE_BINARY_DIR}/rooms/=
  $<$<CXX_COMPILER_ID:Clang>:-Wno-gnu-statement-expression -Wno-gnu-statement-expression-from-macro-expansion
                             -Wthread-safety
                             # takes a VMM_TRY whose value nobody wants for a call that drops one; GCC looks for these
                             -Wno-unused-result>)
# GCC tidies its memory whenever that has grown by a third: without that below so many KiB it is quicker.
target_compile_options(vmm_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:--param=ggc-min-heapsize=1000000>)
target_compile_definitions(vmm_options INTERFACE _GLIBCXX_ASSERTIONS _GNU_SOURCE)
if(NOT VMM_SANITIZE)
  target_compile_definitions(vmm_options INTERFACE $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=3>)
endif()
if(VMM_SANITIZE)
  add_compile_options(-fsanitize=${VMM_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${VMM_SANITIZE})
  # GCC 12 finds uninitialised temporaries in fmt, and null pointers, in code that sanitizers instrument.
  target_compile_options(vmm_options INTERFACE
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized -Wno-null-dereference>)
  if(VMM_SANITIZE MATCHES "thread")
    # GCC's ThreadSanitizer does not model fences; ours are compiler fences only.
    target_compile_options(vmm_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
  endif()
endif()
if(VMM_BUILD_FUZZERS)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(VMM_STATIC)
  set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
  # Sections at both ends: with link-time optimisation it is the link that compiles.
  add_compile_options(-ffunction-sections -fdata-sections)
  # Debian 12's linker can pack relocations for x86 only.
  add_link_options(-static-pie -Wl,-z,relro,-z,now -Wl,--gc-sections -ffunction-sections -fdata-sections
                   $<$<STREQUAL:${VMM_ARCHITECTURE},x86_64>:-Wl,-z,pack-relative-relocs>)
endif()

# A library of the distribution, as a target; a clear message says which package has it.
function(vmm_library name header package)
  cmake_parse_arguments(PARSE_ARGV 3 L "" "" "NAMES")
  find_path(${name}_INCLUDE ${header})
  find_library(${name}_LIBRARY NAMES ${L_NAMES})
  if(NOT ${name}_INCLUDE OR NOT ${name}_LIBRARY)
    message(FATAL_ERROR "${header} or its library is missing: install the package ${package}, or run ./do setup")
  endif()
  add_library(lib_${name} INTERFACE)
  add_library(lib::${name} ALIAS lib_${name})
  target_include_directories(lib_${name} SYSTEM INTERFACE ${${name}_INCLUDE})
  target_link_libraries(lib_${name} INTERFACE ${${name}_LIBRARY})
endfunction()

vmm_library(zlib zlib.h zlib1g-dev NAMES z)
vmm_library(zstd zstd.h libzstd-dev NAMES zstd)
vmm_library(lzma lzma.h liblzma-dev NAMES lzma)
vmm_library(lz4 lz4frame.h liblz4-dev NAMES lz4)
vmm_library(uring liburing.h liburing-dev NAMES uring)

# Header-only libraries. spdlog and fmt have no static archives in Debian: compiled once in src/base.
find_path(SPDLOG_INCLUDE spdlog/spdlog.h REQUIRED)
add_library(lib_spdlog INTERFACE)
add_library(lib::spdlog ALIAS lib_spdlog)
target_include_directories(lib_spdlog SYSTEM INTERFACE ${SPDLOG_INCLUDE})
target_compile_definitions(lib_spdlog INTERFACE SPDLOG_HEADER_ONLY SPDLOG_FMT_EXTERNAL FMT_HEADER_ONLY)

find_path(CLI11_INCLUDE CLI/CLI.hpp REQUIRED)
add_library(lib_cli11 INTERFACE)
add_library(lib::cli11 ALIAS lib_cli11)
target_include_directories(lib_cli11 SYSTEM INTERFACE ${CLI11_INCLUDE})

find_path(JSON_INCLUDE nlohmann/json.hpp REQUIRED)
add_library(lib_json INTERFACE)
add_library(lib::json ALIAS lib_json)
target_include_directories(lib_json SYSTEM INTERFACE ${JSON_INCLUDE})

find_path(ASIO_INCLUDE boost/asio.hpp REQUIRED)
add_library(lib_asio INTERFACE)
add_library(lib::asio ALIAS lib_asio)
target_include_directories(lib_asio SYSTEM INTERFACE ${ASIO_INCLUDE})
target_compile_definitions(lib_asio INTERFACE BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_VISIBILITY)
target_link_libraries(lib_asio INTERFACE Threads::Threads)
# GCC 12 sees null pointers inside Asio's thread-local call stack, inlined into whoever uses it.
target_compile_options(lib_asio INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-null-dereference>)

if(VMM_BUILD_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
