// SPDX-License-Identifier: Apache-2.0
// Whole lives of a machine on hv/fake: commands, their answers, and how it ends.
#include "machine/session.hpp"

#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "fake/hypervisor.hpp"
#include "machine/x86_64/pc.hpp"
#include "payload/synthetic_elf.hpp"
#include "vmm/text.hpp"

namespace vmm::machine {
namespace {

using fake::out;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint64_t kKernelAt = 0x10'0000;
constexpr std::uint16_t kSerial = 0x3f8;
constexpr std::uint16_t kExit = 0x501;

std::vector<fake::Step> says(std::string_view text) {
    std::vector<fake::Step> steps;
    for (const char character : text)
        steps.push_back(out(kSerial, static_cast<unsigned char>(character)));
    return steps;
}

class SessionTest : public testing::Test {
protected:
    SessionTest() {
        config.payload.kernel = kernel.path();
        config.memory.size = 64 << 20;
        config.serial.mode = ConsoleMode::File;
        config.serial.file = printed;
        config.debug_exit = kExit;
        vm->set_supported_cpuid({{.leaf = 0, .eax = 0xd},
                                 {.leaf = 1},
                                 {.leaf = 0x8000'0000, .eax = 0x8000'0008},
                                 {.leaf = 0x8000'0008, .eax = 40 | 48 << 8}});
    }
    ~SessionTest() override { ::unlink(printed.c_str()); }

    /// A life whose guest does `steps`; `then` is called when it has started.
    Result<Outcome> live(std::vector<fake::Step> steps,
                         const std::function<void(Commands&)>& then) {
        vm->plan(0, std::move(steps));
        return run(
            config, [](std::string_view) {},
            [&](Commands& commands) -> Result<> {
                then(commands);
                return {};
            },
            [](const Outcome&) { FAIL() << "no device hangs"; },
            [&](const VmConfig& of) -> Result<std::unique_ptr<Platform>> {
                return Pc::create(of, std::make_unique<fake::Hypervisor>(std::move(owned_vm)));
            });
    }
    std::string output() const {
        std::ifstream file{printed};
        return {std::istreambuf_iterator<char>{file}, {}};
    }

    test::MemoryFile kernel{test::make_elf({.entry = kKernelAt,
                                            .segments = {{.offset = 0x1000,
                                                          .physical = kKernelAt,
                                                          .file_size = 0x1000,
                                                          .memory_size = 0x3000}},
                                            .pvh_entry = 0x10'0010})};
    std::string printed = cat(testing::TempDir(), "session_test.", ::getpid());
    std::unique_ptr<fake::Vm> owned_vm = std::make_unique<fake::Vm>();
    fake::Vm* vm = owned_vm.get();  // until the end of the life
    VmConfig config;
};

TEST_F(SessionTest, ExitPortEndsItWithItsValue) {
    const auto outcome = live({out(kExit, 7)}, [](Commands&) {});

    ASSERT_TRUE(outcome) << outcome.error().one_line();
    EXPECT_EQ(outcome->ending, Ending::TestExit);
    EXPECT_EQ(outcome->value, 7);
}

TEST_F(SessionTest, QuitEndsItAndNothingIsDoneAfterIt) {
    std::string refused;
    const auto outcome = live({}, [&](Commands& commands) {
        commands.ask(Command::Quit);
        commands.ask(Command::Reset,
                     [&](const Result<>& done) { refused = done ? "" : done.error().one_line(); });
        EXPECT_EQ(vm->resets(), 0u);
    });

    ASSERT_TRUE(outcome) << outcome.error().one_line();
    EXPECT_EQ(outcome->ending, Ending::Quit);
    EXPECT_EQ(refused, "the machine has ended");
}

TEST_F(SessionTest, PausedMachineGoesOnWhenItIsResumed) {
    std::vector<std::string> answers;
    const auto note = [&](const Result<>& done) {
        answers.push_back(done ? "done" : done.error().one_line());
    };
    std::string while_paused;
    const auto outcome = live({}, [&](Commands& commands) {
        ASSERT_TRUE(vm->vcpu(0)->wait_until_idle());
        commands.ask(Command::Pause, note);
        commands.ask(Command::Pause, note);
        auto steps = says("later");
        steps.push_back(out(kExit, 0));
        vm->plan(0, std::move(steps));
        while_paused = output();
        commands.ask(Command::RecheckDisks, note);
        commands.ask(Command::Resume, note);
        commands.ask(Command::Resume, note);
    });

    ASSERT_TRUE(outcome) << outcome.error().one_line();
    EXPECT_EQ(outcome->ending, Ending::TestExit);
    EXPECT_THAT(answers, ElementsAre("done", "the machine is paused already", "done", "done",
                                     "the machine is not paused"));
    EXPECT_EQ(while_paused, "");
    EXPECT_EQ(output(), "later");
}

TEST_F(SessionTest, PowerButtonOfAPausedMachineIsRefused) {
    std::string refused;
    std::string advice;
    const auto outcome = live({}, [&](Commands& commands) {
        commands.ask(Command::PowerButton, [](const Result<>& done) { EXPECT_TRUE(done); });
        commands.ask(Command::Pause);
        commands.ask(Command::PowerButton, [&](const Result<>& done) {
            ASSERT_FALSE(done);
            refused = done.error().one_line();
            advice = done.error().advice();
        });
        commands.ask(Command::Quit);
    });

    ASSERT_TRUE(outcome) << outcome.error().one_line();
    EXPECT_EQ(refused, "the machine is paused: its guest cannot see the power button");
    EXPECT_EQ(advice, "Resume it first, or quit.");
}

TEST_F(SessionTest, ResetIsAnsweredWhenTheGuestRunsAgainFromAPauseToo) {
    const auto outcome = live(says("one"), [&](Commands& commands) {
        ASSERT_TRUE(vm->vcpu(0)->wait_until_idle());
        commands.ask(Command::Pause);
        vm->plan(0, says("two"));
        commands.ask(Command::Reset, [&](const Result<>& done) {
            EXPECT_TRUE(done);
            EXPECT_EQ(vm->resets(), 1u);
            EXPECT_TRUE(vm->vcpu(0)->wait_until_idle());
            commands.ask(Command::Quit);
        });
    });

    ASSERT_TRUE(outcome) << outcome.error().one_line();
    EXPECT_EQ(outcome->ending, Ending::Quit);
    EXPECT_EQ(output(), "onetwo");
}

TEST_F(SessionTest, ResetThatFailsIsAnsweredSoAndEndsTheMachineAsTheHosts) {
    std::string answer;
    const auto outcome = live({}, [&](Commands& commands) {
        std::ofstream{kernel.path()} << "no kernel";
        commands.ask(Command::Reset,
                     [&](const Result<>& done) { answer = done ? "" : done.error().one_line(); });
    });

    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind(), ErrorKind::Os);
    EXPECT_THAT(outcome.error().one_line(), HasSubstr("reset the machine: "));
    EXPECT_EQ(answer, outcome.error().one_line());
}

TEST_F(SessionTest, FailureToSayThatItHasStartedEndsIt) {
    vm->plan(0, {});
    const auto outcome = run(
        config, [](std::string_view) {},
        [](Commands&) -> Result<> {
            return std::unexpected(Error{ErrorKind::Os, "no room for a pid file"});
        },
        [](const Outcome&) {},
        [&](const VmConfig& of) -> Result<std::unique_ptr<Platform>> {
            return Pc::create(of, std::make_unique<fake::Hypervisor>(std::move(owned_vm)));
        });

    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().one_line(), "no room for a pid file");
}

}  // namespace
}  // namespace vmm::machine
