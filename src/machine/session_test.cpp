// SPDX-License-Identifier: Apache-2.0
// Whole lives of a machine on hv/fake: commands, their answers, and how it ends.
#include "machine/session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "machine/devices/kinds.hpp"
#include "machine/fake_pc_test_support.hpp"

namespace vmm::machine {
namespace {

using fake::out;
using testing::ElementsAre;
using testing::HasSubstr;

class SessionTest : public FakePcTest {
protected:
    SessionTest() { config.debug_exit = kExitPort; }

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
            [](const Outcome&) { FAIL() << "no device hangs"; }, {},
            [this](const VmConfig&) { return make_board(); });
    }
};

TEST_F(SessionTest, ExitPortEndsItWithItsValue) {
    const auto outcome = live({out(kExitPort, 7)}, [](Commands&) {});

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
        auto steps = print("later");
        steps.push_back(out(kExitPort, 0));
        vm->plan(0, std::move(steps));
        while_paused = read_back();
        commands.ask(Command::RecheckDisks, note);
        commands.ask(Command::Resume, note);
        commands.ask(Command::Resume, note);
    });

    ASSERT_TRUE(outcome) << outcome.error().one_line();
    EXPECT_EQ(outcome->ending, Ending::TestExit);
    EXPECT_THAT(answers, ElementsAre("done", "the machine is paused already", "done", "done",
                                     "the machine is not paused"));
    EXPECT_EQ(while_paused, "");
    EXPECT_EQ(read_back(), "later");
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
    const auto outcome = live(print("one"), [&](Commands& commands) {
        ASSERT_TRUE(vm->vcpu(0)->wait_until_idle());
        commands.ask(Command::Pause);
        vm->plan(0, print("two"));
        commands.ask(Command::Reset, [&](const Result<>& done) {
            EXPECT_TRUE(done);
            EXPECT_EQ(vm->resets(), 1u);
            EXPECT_TRUE(vm->vcpu(0)->wait_until_idle());
            commands.ask(Command::Quit);
        });
    });

    ASSERT_TRUE(outcome) << outcome.error().one_line();
    EXPECT_EQ(outcome->ending, Ending::Quit);
    EXPECT_EQ(read_back(), "onetwo");
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

// Devices.

/// Busy at a reset or pause until the test says that it has ended.
struct BusyDevice final : StubDevice {
    BusyDevice(bool& busy, const EventFd*& told, const DeviceParts& parts) : busy_{busy} {
        told = &parts.released;
    }
    bool released() noexcept override { return !busy_; }
    bool quiet() noexcept override { return !busy_; }

    bool& busy_;
};

struct DeviceCommandsTest : SessionTest {
    DeviceCommandsTest() { config.rng.emplace(); }

    Answer note() {
        return [this](const Result<>& done) {
            answers.push_back(done ? "done" : done.error().one_line());
        };
    }
    NewDevice busy_device() {
        return {"busy", [this](const std::string&, const DeviceParts& parts) -> Result<MadeDevice> {
                    return MadeDevice{std::make_unique<BusyDevice>(busy, ended, parts), {}};
                }};
    }
    std::vector<std::string> answers;
    bool busy = true;
    const EventFd* ended = nullptr;
};

TEST_F(DeviceCommandsTest, DevicesComeAndGoAndARemovalIsAnsweredFromTheLoop) {
    const auto outcome = live({}, [&](Commands& commands) {
        commands.add_device(busy_device(), note());
        commands.add_device(busy_device(), note());
        commands.remove_device("nobody", Removal::AtOnce, note());
        commands.remove_device("busy", Removal::AtOnce, note());
        commands.remove_device("busy", Removal::AtOnce, [&](const Result<>& done) {
            note()(done);
            commands.ask(Command::Quit);
            commands.add_device(busy_device(), note());
            commands.remove_device("rng", Removal::AtOnce, note());
        });
        answers.emplace_back("asked");
        busy = false;
        ended->signal();
    });

    ASSERT_TRUE(outcome) << outcome.error().one_line();
    EXPECT_THAT(answers, ElementsAre("done", "there is a device with the id 'busy' already",
                                     "there is no device with the id 'nobody'", "asked", "done",
                                     "done", "the machine has ended", "the machine has ended"));
}

TEST_F(DeviceCommandsTest, DuringAResetDevicesNeitherComeNorGo) {
    const auto outcome = live({}, [&](Commands& commands) {
        commands.add_device(busy_device(), note());
        commands.ask(Command::Reset, [&](const Result<>& done) {
            note()(done);
            commands.ask(Command::Quit);
        });
        commands.add_device(busy_device(), note());
        commands.remove_device("rng", Removal::AtOnce, note());
        busy = false;
        ended->signal();
    });

    ASSERT_TRUE(outcome) << outcome.error().one_line();
    EXPECT_THAT(answers, ElementsAre("done", "the machine is being reset",
                                     "the machine is being reset", "done"));
}

TEST_F(DeviceCommandsTest, PauseIsAnsweredWhenTheDevicesAreQuiet) {
    const auto outcome = live({}, [&](Commands& commands) {
        commands.add_device(busy_device(), note());
        commands.ask(Command::Pause, [&](const Result<>& done) {
            note()(done);
            commands.ask(Command::Quit);
        });
        answers.emplace_back("asked");
        busy = false;
        ended->signal();
    });

    ASSERT_TRUE(outcome) << outcome.error().one_line();
    EXPECT_THAT(answers, ElementsAre("done", "asked", "done"));
}

TEST_F(DeviceCommandsTest, PauseThatIsOvertakenSaysByWhat) {
    const auto outcome = live({}, [&](Commands& commands) {
        commands.add_device(busy_device(), note());
        commands.ask(Command::Pause, note());
        commands.ask(Command::Resume, note());
        commands.ask(Command::Pause, note());
        commands.ask(Command::Reset, [&](const Result<>&) { commands.ask(Command::Quit); });
        busy = false;
        ended->signal();
    });

    ASSERT_TRUE(outcome) << outcome.error().one_line();
    EXPECT_THAT(answers,
                ElementsAre("done", "the machine was resumed before its devices had paused", "done",
                            "the machine was reset before its devices had paused"));
}

TEST_F(DeviceCommandsTest, PauseOfADeviceThatHangsIsAnErrorThatNamesIt) {
    config.stop_timeout = 0;
    const auto outcome = live({}, [&](Commands& commands) {
        commands.add_device(busy_device(), note());
        commands.ask(Command::Pause, [&](const Result<>& done) {
            note()(done);
            busy = false;
            commands.ask(Command::Quit);
        });
    });

    ASSERT_TRUE(outcome) << outcome.error().one_line();
    EXPECT_THAT(answers, ElementsAre("done",
                                     "busy did not stop within 0 s (--stop-timeout): the host does "
                                     "not answer what the guest asked of it"));
}

TEST_F(SessionTest, FailureToSayThatItHasStartedEndsIt) {
    vm->plan(0, {});
    const auto outcome = run(
        config, [](std::string_view) {},
        [](Commands&) -> Result<> {
            return std::unexpected(Error{ErrorKind::Os, "no room for a pid file"});
        },
        [](const Outcome&) {}, {}, [this](const VmConfig&) { return make_board(); });

    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().one_line(), "no room for a pid file");
}

}  // namespace
}  // namespace vmm::machine
