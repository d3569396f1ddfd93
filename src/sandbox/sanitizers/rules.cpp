// SPDX-License-Identifier: Apache-2.0
// What programs with a sanitizer call besides: shadow memory, and at the end the search for leaks
// by a process that traces this one. In no other build.
#include <asm/ioctls.h>

#include "vmm/call_rule.hpp"

namespace vmm::calls {
namespace {

constexpr auto kRules = std::array{
    Rule{"openat", kAll, "maps of the process, for reports and the search"},
    Rule{"read", kAll, "maps of the process, for reports and the search"},
    Rule{"close", kAll, "maps of the process, for reports and the search"},
    Rule{"fstat", kAll, "files that are read"},
    ioctl(TCGETS, kAll, "may a report have colours?"),
    Rule{"readlink", kAll, "the program's name, for reports"},
    Rule{"sched_getaffinity", kAll, "sizes of the allocator's caches"},
    Rule{"getrlimit", kAll, "where is the stack?"},
    Rule{"prlimit64", kAll, "where is the stack?"},
    Rule{"prctl", kAll, "names of memory; who may trace"},
    Rule{"newfstatat", kAll, "files that are looked for"},
    Rule{"lseek", kAll, "files that are read"},
    Rule{"mincore", kAll, "is the shadow there?"},
    Rule{"pipe", kAll, "may an address be read? A write to a pipe tells"},
    Rule{"pipe2", kAll, "may an address be read? A write to a pipe tells"},
    Rule{"getppid", kMain, "the tracing process looks after its maker"},
    Rule{"clone", kMain, "the tracing process"},
    Rule{"ptrace", kMain, "the tracing process"},
    Rule{"wait4", kMain, "the tracing process"},
    Rule{"getdents64", kMain, "the tracing process lists threads"},
    Rule{"process_vm_readv", kMain, "the tracing process"},
    Rule{"setrlimit", kMain, "no core of the tracing process"},
    Rule{"rseq", kAll, "threads"},
};

}  // namespace

std::span<const Rule> sanitizer_rules() {
    return kRules;
}

}  // namespace vmm::calls
