// SPDX-License-Identifier: Apache-2.0
// A program of the build: turns the tables (vmm/call_rule.hpp) into BPF and writes it to standard
// output as C++, for filters.cpp. `compile_filters ARCHITECTURE`, a name of
// seccomp_arch_resolve_name(3).
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "vmm/call_rule.hpp"

namespace vmm::calls {
namespace {

constexpr int kLastCall = 511;  // above the numbers of all system calls that have names

[[noreturn]] void give_up(const std::string& what, int error) {
    std::fprintf(stderr, "compile_filters: %s: %s\n", what.c_str(), std::strerror(error));
    std::exit(1);
}

void check(int result, const std::string& what) {
    if (result < 0)
        give_up(what, -result);
}

std::uint32_t action_of(Answer answer) {
    switch (answer) {
        case Answer::Allow:
            return SCMP_ACT_ALLOW;
        case Answer::NotThere:
            return SCMP_ACT_ERRNO(ENOSYS);
        case Answer::Forbidden:
            break;
    }
    return SCMP_ACT_ERRNO(EPERM);
}

void add(scmp_filter_ctx filter, std::uint32_t architecture, const Rule& rule) {
    const std::string call{rule.call};
    if (rule.where == Where::NotOnArm && architecture == SCMP_ARCH_AARCH64)
        return;
    if (::seccomp_syscall_resolve_name_arch(architecture, call.c_str()) < 0)
        give_up("this architecture has no system call " + call, EINVAL);
    // The library wants the number that the call has where it runs itself, and translates.
    const int number = ::seccomp_syscall_resolve_name(call.c_str());
    std::vector<scmp_arg_cmp> comparisons;
    for (const Condition& condition : rule.conditions)
        if (condition.mask != 0)
            comparisons.push_back({.arg = condition.argument,
                                   .op = SCMP_CMP_MASKED_EQ,
                                   .datum_a = condition.mask,
                                   .datum_b = condition.value});
    const auto count = static_cast<unsigned>(comparisons.size());
    check(::seccomp_rule_add_exact_array(filter, action_of(rule.answer), number, count,
                                         comparisons.data()),
          call);
}

std::vector<sock_filter> exported(scmp_filter_ctx filter) {
    std::FILE* const file = std::tmpfile();
    if (file == nullptr)
        give_up("tmpfile", errno);
    check(::seccomp_export_bpf(filter, ::fileno(file)), "seccomp_export_bpf");
    std::vector<sock_filter> code(static_cast<std::size_t>(::lseek(::fileno(file), 0, SEEK_END)) /
                                  sizeof(sock_filter));
    std::rewind(file);
    if (std::fread(code.data(), sizeof(sock_filter), code.size(), file) != code.size())
        give_up("read the filter", EIO);
    std::fclose(file);
    return code;
}

constexpr std::uint32_t kFirstArgument = 16;  // in struct seccomp_data; 8 bytes each

/// Lets the call of each exit through, in front of everything else: the library compares the
/// requests of ioctl() one after the other.
std::vector<sock_filter> short_cut(std::uint32_t architecture) {
    std::vector<sock_filter> code;
    for (const auto table : all_tables())
        for (const Rule& rule : table)
            if (rule.each_exit) {
                const auto [argument, mask, value] = rule.conditions[0];
                const auto number = static_cast<std::uint32_t>(::seccomp_syscall_resolve_name_arch(
                    architecture, std::string{rule.call}.c_str()));
                code = {
                    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 0, 5),
                    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
                    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFirstArgument + 8u * argument),
                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(value), 0, 1),
                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
            }
    return code;
}

void print_filter(const Confined& threads, std::uint32_t architecture) {
    scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_TRAP);
    check(::seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "attribute");
    check(::seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2), "attribute");  // a tree
    if (architecture != ::seccomp_arch_native()) {
        check(::seccomp_arch_add(filter, architecture), "architecture");
        check(::seccomp_arch_remove(filter, ::seccomp_arch_native()), "architecture");
    }
    for (const auto table : all_tables())
        for (const Rule& rule : table)
            if (is_for(rule, threads.kind))
                add(filter, architecture, rule);
    auto code = exported(filter);
    ::seccomp_release(filter);
    if (threads.kind == ThreadKind::Vcpu) {
        const auto first = short_cut(architecture);
        code.insert(code.begin(), first.begin(), first.end());
    }
    std::printf("constexpr std::array<sock_filter, %zu> kFilter%s{{\n", code.size(),
                std::string{threads.name}.c_str());
    for (const auto& [what, yes, no, value] : code)
        std::printf("{0x%x, %u, %u, 0x%x},\n", unsigned{what}, unsigned{yes}, unsigned{no}, value);
    std::printf("}};\n");
}

// One text, so that the program has no pointers to relocate.
void print_names(std::uint32_t architecture) {
    std::printf("constexpr char kCallNames[] =\n");
    for (int number = 0; number <= kLastCall; ++number) {
        char* const name = ::seccomp_syscall_resolve_num_arch(architecture, number);
        std::printf("\"%s\\0\"\n", name != nullptr ? name : "");
        std::free(name);
    }
    std::printf(";\nconstexpr int kLastCall = %d;\n", kLastCall);
}

int main_of(const char* name) {
    const std::uint32_t architecture = ::seccomp_arch_resolve_name(name);
    if (architecture == 0)
        give_up(std::string{"architecture "} + name, EINVAL);
    std::printf("// Made by compile_filters.\n");
    for (const Confined& threads : kConfined)
        print_filter(threads, architecture);
    print_names(architecture);
    return std::fflush(stdout) == 0 ? 0 : 1;
}

}  // namespace
}  // namespace vmm::calls

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: compile_filters ARCHITECTURE\n");
        return 2;
    }
    return vmm::calls::main_of(argv[1]);
}
