// SPDX-License-Identifier: Apache-2.0
// The tables of system calls against what the program does: nothing is missing, nothing is left
// over. Who adds a rule adds what needs it here, and who takes a need away its rule.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/child_test_support.hpp"
#include "sandbox/filters.hpp"
#include "sandbox/needs_everywhere_test_support.hpp"
#include "sandbox/needs_kvm_test_support.hpp"
#include "sandbox/needs_of_kinds_test_support.hpp"
#include "sandbox/seccomp.hpp"
#include "support/sanitizers.hpp"
#include "vmm/call_rule.hpp"

namespace vmm::sandbox {
namespace {

using calls::Condition;
using calls::Confined;
using calls::kConfined;
using calls::Rule;

std::vector<Need> all_needs() {
    std::vector<Need> needs;
    for (const std::span<const Need> table :
         {std::span<const Need>{kNeedsEverywhere}, std::span<const Need>{kNeedsOfIo},
          std::span<const Need>{kNeedsOfMain}, std::span<const Need>{kNeedsOfKvm}})
        needs.insert(needs.end(), table.begin(), table.end());
    return needs;
}

bool is_about(const Rule& rule, const Need& need) {
    const char* const name = call_name(static_cast<int>(need.call));
    return name != nullptr && rule.call == name &&
           std::ranges::all_of(rule.conditions, [&](const Condition& condition) {
               return (need.arguments[condition.argument] & condition.mask) == condition.value;
           });
}

std::string described(const Rule& rule) {
    std::string text{rule.call};
    for (const auto& [argument, mask, value] : rule.conditions)
        if (mask != 0)
            text += " (argument " + std::to_string(argument) + " is " + std::to_string(value) + ")";
    return text + ", \"" + std::string{rule.why} + "\",";
}

/// For whom nothing needs a rule.
std::vector<std::string> needless(std::span<const Rule> rules) {
    std::vector<std::string> found;
    const auto needs = all_needs();
    for (const Rule& rule : rules)
        for (const auto& [kind, name] : kConfined) {
            const auto needed = [&](const Need& need) {
                return need.threads.contains(kind) && is_about(rule, need);
            };
            // What the main thread has because of those that it makes is theirs to need.
            if (rule.threads.contains(kind) && std::ranges::none_of(needs, needed))
                found.push_back("no act needs rule " + described(rule) + " for kind " +
                                std::string{name});
        }
    return found;
}

TEST(NeedsTest, EachRuleIsNeededByEachKindThatItNames) {
    for (const auto table :
         {calls::common_rules(), calls::kvm_rules(), calls::kvm_architecture_rules()})
        for (const std::string& what : needless(table))
            ADD_FAILURE() << what;
}

TEST(NeedsTest, RuleThatNothingNeedsIsFound) {
    constexpr std::array kBogus{
        Rule{"openat", kVcpu, "somebody thought so"},
        Rule{"read", kPool | kHelper, "for the pool nobody does"},
        Rule{"mmap", kPool, "memory", {calls::is(2, PROT_EXEC)}},
    };
    EXPECT_EQ(needless(kBogus),
              (std::vector<std::string>{
                  "no act needs rule openat, \"somebody thought so\", for kind Vcpu",
                  "no act needs rule read, \"for the pool nobody does\", for kind BlockPool",
                  "no act needs rule mmap (argument 2 is 4), \"memory\", for kind BlockPool"}));
}

/// Ends the process: no descriptor is closed, which few kinds of threads may do.
[[noreturn]] void do_confined(const Need& need, ThreadKind kind, const std::string& folder) {
    const Stage stage{folder};
    if (!confine_threads(Seccomp::On))
        ::_exit(99);
    confine_this_thread(kind);
    if (need.works != nullptr)
        ::_exit(need.works(stage) ? 0 : 1);
    const auto& a = need.arguments;
    const long result = ::syscall(need.call, a[0], a[1], a[2], a[3], a[4], a[5]);
    ::_exit(result < 0 && errno == need.error ? 0 : 1);
}

class NeedsOfKindTest : public FolderTest, public testing::WithParamInterface<Confined> {
protected:
    void SetUp() override {
        if (test::kSanitized)
            GTEST_SKIP() << "sanitizers call more";
        FolderTest::SetUp();
    }
};

TEST_P(NeedsOfKindTest, AreLetThrough) {
    for (const Need& need : all_needs()) {
        const bool of_its_own = need.threads.contains(GetParam().kind);
        const bool of_those_it_makes =
            GetParam().kind == ThreadKind::Main && need.threads.meets(calls::kMadeByMain);
        if (!of_its_own && !of_those_it_makes)
            continue;
        const auto ended = in_child([&]() -> int { do_confined(need, GetParam().kind, folder_); });
        EXPECT_TRUE(ended.ended_with(0))
            << call_name(static_cast<int>(need.call)) << ": " << need.where << ": status "
            << ended.status << " " << ended.error;
    }
}

INSTANTIATE_TEST_SUITE_P(Threads, NeedsOfKindTest, testing::ValuesIn(kConfined),
                         [](const auto& threads) { return std::string{threads.param.name}; });

}  // namespace
}  // namespace vmm::sandbox
