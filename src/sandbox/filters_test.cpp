// SPDX-License-Identifier: Apache-2.0
// The filters as the kernel reads them, run here on calls of every kind.
#include "sandbox/filters.hpp"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/acts_test_support.hpp"
#include "support/sanitizers.hpp"
#include "vmm/call_rule.hpp"

namespace vmm::sandbox {
namespace {

using calls::Answer;
using calls::Condition;
using calls::Confined;
using calls::kConfined;
using calls::Rule;

std::uint32_t word_at(const seccomp_data& data, std::uint32_t offset) {
    std::uint32_t word = 0;
    std::memcpy(&word, reinterpret_cast<const char*>(&data) + offset, sizeof word);
    return word;
}

bool jumps(std::uint16_t operation, std::uint32_t a, std::uint32_t k) {
    switch (operation) {
        case BPF_JEQ:
            return a == k;
        case BPF_JGT:
            return a > k;
        case BPF_JGE:
            return a >= k;
        case BPF_JSET:
            return (a & k) != 0;
        default:
            ADD_FAILURE() << "jump " << operation;
            return false;
    }
}

/// What the kernel would do. Spec: Linux Documentation/networking/filter.rst.
std::uint32_t run(std::span<const sock_filter> filter, const seccomp_data& data) {
    std::uint32_t a = 0;
    for (std::size_t at = 0; at < filter.size(); ++at) {
        const sock_filter& step = filter[at];
        switch (BPF_CLASS(step.code)) {
            case BPF_LD:
                a = word_at(data, step.k);
                break;
            case BPF_ALU:
                EXPECT_EQ(BPF_OP(step.code), BPF_AND);
                a &= step.k;
                break;
            case BPF_JMP:
                if (BPF_OP(step.code) == BPF_JA)
                    at += step.k;
                else
                    at += jumps(BPF_OP(step.code), a, step.k) ? step.jt : step.jf;
                break;
            case BPF_RET:
                return step.k;
            default:
                ADD_FAILURE() << "instruction " << step.code;
                return 0;
        }
    }
    ADD_FAILURE() << "no end";
    return 0;
}

seccomp_data call_of(long number, const std::array<std::uint64_t, 6>& arguments) {
    seccomp_data data{.nr = static_cast<int>(number),
                      .arch = AUDIT_ARCH_X86_64,
                      .instruction_pointer = 0,
                      .args = {}};
    std::memcpy(data.args, arguments.data(), sizeof data.args);
    return data;
}

std::optional<int> number_of(std::string_view call) {
    for (int number = 0; number < 512; ++number)
        if (const char* const name = call_name(number); name != nullptr && call == name)
            return number;
    return std::nullopt;
}

/// A call that the rule is about.
seccomp_data call_of(const Rule& rule) {
    std::array<std::uint64_t, 6> arguments{};
    for (const Condition& condition : rule.conditions)
        if (condition.mask != 0)
            arguments[condition.argument] |= condition.value;
    return call_of(*number_of(rule.call), arguments);
}

std::uint32_t answer_of(const Rule& rule) {
    switch (rule.answer) {
        case Answer::Allow:
            return SECCOMP_RET_ALLOW;
        case Answer::NotThere:
            return SECCOMP_RET_ERRNO | ENOSYS;
        case Answer::Forbidden:
            break;
    }
    return SECCOMP_RET_ERRNO | EPERM;
}

std::vector<Rule> all_rules() {
    std::vector<Rule> rules;
    for (const auto table : calls::all_tables())
        rules.insert(rules.end(), table.begin(), table.end());
    return rules;
}

class FilterTest : public testing::TestWithParam<Confined> {
protected:
    std::span<const sock_filter> filter_ = filter_of(GetParam().kind);
};

TEST_P(FilterTest, AnswersAsItsRulesSay) {
    for (const Rule& rule : all_rules())
        if (calls::is_for(rule, GetParam().kind)) {
            EXPECT_EQ(run(filter_, call_of(rule)), answer_of(rule))
                << rule.call << ": " << rule.why;
        }
}

TEST_P(FilterTest, AllowsNothingThatIsOthers) {
    for (const Rule& rule : all_rules()) {
        const auto is_ours = [&](const Rule& other) {
            return other.call == rule.call && calls::is_for(other, GetParam().kind);
        };
        if (std::ranges::none_of(all_rules(), is_ours)) {
            EXPECT_EQ(run(filter_, call_of(rule)), SECCOMP_RET_TRAP) << rule.call;
        }
    }
}

TEST_P(FilterTest, EndsAProcessThatUsesAnotherArchitecturesNumbers) {
    auto call = call_of(SYS_read, {});
    call.arch = AUDIT_ARCH_I386;
    EXPECT_EQ(run(filter_, call), SECCOMP_RET_KILL_PROCESS);
    call.arch = AUDIT_ARCH_X86_64;
    call.nr |= 0x4000'0000;  // x32
    EXPECT_EQ(run(filter_, call), SECCOMP_RET_KILL_PROCESS);
}

TEST_P(FilterTest, RefusesWhatSomebodyWhoTookOverTheThreadWouldLike) {
    if (test::kSanitized)
        GTEST_SKIP() << "sanitizers need some of it";
    for (const Act& act : kForbiddenActs)
        EXPECT_EQ(run(filter_, call_of(act.call, act.arguments)), SECCOMP_RET_TRAP) << act.name;
    const auto ring = run(filter_, call_of(SYS_io_uring_setup, {}));
    EXPECT_TRUE(ring == SECCOMP_RET_TRAP || ring == (SECCOMP_RET_ERRNO | EPERM));
}

INSTANTIATE_TEST_SUITE_P(Threads, FilterTest, testing::ValuesIn(kConfined),
                         [](const auto& threads) { return std::string{threads.param.name}; });

TEST(FiltersTest, OnlyTheThreadThatEndsBeforeTheGuestStartsHasNone) {
    EXPECT_TRUE(filter_of(ThreadKind::SetUp).empty());
    for (const auto& [kind, name] : kConfined)
        EXPECT_FALSE(filter_of(kind).empty()) << name;
}

TEST(FiltersTest, VcpusAndIoThreadsMakeNoThreads) {
    for (const auto& [kind, name] : kConfined)
        if (kind != ThreadKind::Main) {
            EXPECT_EQ(run(filter_of(kind), call_of(SYS_clone, {})), SECCOMP_RET_TRAP) << name;
            EXPECT_EQ(run(filter_of(kind), call_of(SYS_clone3, {})), SECCOMP_RET_TRAP) << name;
        }
}

TEST(FiltersTest, EachRuleHasAReasonAndIsThereOnce) {
    std::map<std::string, int> seen;
    for (const Rule& rule : all_rules()) {
        EXPECT_FALSE(rule.why.empty()) << rule.call;
        EXPECT_TRUE(number_of(rule.call)) << rule.call;
        std::string key{rule.call};
        for (const Condition& condition : rule.conditions)
            key += " " + std::to_string(condition.mask) + "=" + std::to_string(condition.value);
        EXPECT_TRUE(++seen[key] == 1 || test::kSanitized) << key;
    }
}

TEST(FiltersTest, CallsHaveTheirNames) {
    EXPECT_STREQ(call_name(SYS_openat), "openat");
    EXPECT_STREQ(call_name(SYS_read), "read");
    EXPECT_EQ(call_name(-1), nullptr);
    EXPECT_EQ(call_name(1 << 20), nullptr);
}

}  // namespace
}  // namespace vmm::sandbox
