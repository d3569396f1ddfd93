// SPDX-License-Identifier: Apache-2.0
#include "machine/vcpu_set.hpp"

#include <sched.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>

#include "fake/vcpu.hpp"
#include "vmm/thread.hpp"

namespace vmm::machine {
namespace {

using namespace std::chrono_literals;
using fake::little_endian;
using testing::ElementsAre;

struct Register final : IoDevice {
    std::atomic<std::uint64_t> value = 0;
    std::function<void()> on_write = [] {};
    std::uint64_t read(Access) noexcept override { return value; }
    void write(Access, std::uint64_t to) noexcept override {
        value = to;
        on_write();
    }
};

struct VcpuSetTest : testing::Test {
    void start(std::vector<hv::Vcpu*> vcpus, VcpuSet::Prepare prepare = nothing()) {
        ASSERT_TRUE(ports.map(0x100, 8, device));
        ASSERT_TRUE(mmio.map(0xd000'0000, 8, device));
        ASSERT_TRUE(set.make_first(vcpus, std::move(prepare)));
        ASSERT_TRUE(set.start());
    }
    static VcpuSet::Prepare nothing() {
        return [](unsigned) -> Result<> { return {}; };
    }
    VcpuStop wait_for_stop() {
        std::unique_lock lock{mutex};
        stopped.wait_for(lock, 10s, [this] { return !stops.empty(); });
        return stops.empty() ? VcpuStop{} : stops.front();
    }

    Bus ports, mmio;
    Register device;
    std::mutex mutex;
    std::condition_variable stopped;
    std::vector<VcpuStop> stops;
    fake::Vcpu vcpu;
    fake::Vcpu other{1};
    VcpuSet set{ports, mmio, [this](unsigned, VcpuStop stop) noexcept {
                    const std::lock_guard guard{mutex};
                    stops.push_back(std::move(stop));
                    stopped.notify_all();
                }};
};

TEST_F(VcpuSetTest, ThreadIsPinnedBeforeItsVcpuRuns) {
    const auto usable = usable_processors();
    ASSERT_TRUE(usable);
    const std::vector<std::vector<unsigned>> host_cpus{{}, {usable->back()}};
    const auto affinity = [] {
        cpu_set_t now;
        CPU_ZERO(&now);
        ::sched_getaffinity(0, sizeof now, &now);
        return now;
    };
    cpu_set_t first{};
    cpu_set_t second{};
    device.on_write = [&] { first = affinity(); };
    ASSERT_TRUE(ports.map(0x100, 8, device));
    vcpu.plan({fake::out(0x100, 1)});
    const std::vector<hv::Vcpu*> vcpus{&vcpu, &other};
    ASSERT_TRUE(set.make_first(
        vcpus,
        [&](unsigned index) -> Result<> {
            if (index == 1)
                second = affinity();
            return {};
        },
        host_cpus));
    ASSERT_TRUE(set.start());
    ASSERT_TRUE(vcpu.wait_until_idle());
    set.pause();

    const cpu_set_t ours = affinity();
    EXPECT_TRUE(CPU_EQUAL(&first, &ours));
    EXPECT_EQ(CPU_COUNT(&second), 1);
    EXPECT_TRUE(CPU_ISSET(usable->back(), &second));
}

TEST_F(VcpuSetTest, FirstThreadWaitsForTheStartAndTheOthersAreMadeThen) {
    vcpu.plan({fake::out(0x100, 0x5a)});
    ASSERT_TRUE(ports.map(0x100, 8, device));
    std::array<std::atomic<bool>, 2> prepared{};
    const std::vector<hv::Vcpu*> vcpus{&vcpu, &other};
    ASSERT_TRUE(set.make_first(vcpus, [&](unsigned index) -> Result<> {
        prepared.at(index) = true;
        prepared.at(index).notify_all();
        return {};
    }));
    prepared[0].wait(false);
    std::this_thread::sleep_for(20ms);  // time in which it would run, if it did

    EXPECT_EQ(device.value, 0U);
    EXPECT_FALSE(prepared[1]);
    ASSERT_TRUE(set.start());
    ASSERT_TRUE(vcpu.wait_until_idle());
    prepared[1].wait(false);
    EXPECT_EQ(device.value, 0x5aU);
}

TEST_F(VcpuSetTest, SetThatIsNotStartedEndsWithoutRunningAVcpu) {
    vcpu.plan({fake::out(0x100, 0x5a)});
    ASSERT_TRUE(ports.map(0x100, 8, device));
    const std::vector<hv::Vcpu*> vcpus{&vcpu};
    ASSERT_TRUE(set.make_first(vcpus, nothing()));

    set.stop();

    EXPECT_EQ(device.value, 0U);
}

TEST_F(VcpuSetTest, PortAndMmioAccessesReachTheirDevices) {
    vcpu.plan({fake::out(0x100, 0x5a), fake::In{0x100},
               fake::MmioWrite{Gpa{0xd000'0000}, little_endian(0x1234, 2)},
               fake::MmioRead{Gpa{0xd000'0000}, 4}});

    start({&vcpu});

    ASSERT_TRUE(vcpu.wait_until_idle());
    EXPECT_THAT(vcpu.answers(), ElementsAre(little_endian(0x5a, 1), little_endian(0x1234, 4)));
}

TEST_F(VcpuSetTest, EveryElementOfAStringInstructionIsAnAccess) {
    device.value = 0x2211;
    vcpu.plan({fake::In{0x100, AccessSize::Word, 3}});

    start({&vcpu});

    ASSERT_TRUE(vcpu.wait_until_idle());
    EXPECT_THAT(vcpu.answers(), ElementsAre(little_endian(0x2211'2211'2211, 6)));
}

TEST_F(VcpuSetTest, UnmappedReadsAreAllOnes) {
    vcpu.plan({fake::In{0x200}, fake::MmioRead{Gpa{0x10}, 3}});

    start({&vcpu});

    ASSERT_TRUE(vcpu.wait_until_idle());
    EXPECT_THAT(vcpu.answers(), ElementsAre(little_endian(0xff, 1), little_endian(0xff'ffff, 3)));
}

TEST_F(VcpuSetTest, TripleFaultIsReported) {
    vcpu.plan({hv::exit::TripleFault{}});

    start({&vcpu});

    EXPECT_EQ(wait_for_stop().why, VcpuStop::Why::TripleFault);
}

TEST_F(VcpuSetTest, PageThatTheHostLacksIsTheHostsFailure) {
    vcpu.plan({fake::HostFailure{EFAULT}});

    start({&vcpu});

    EXPECT_EQ(wait_for_stop().why, VcpuStop::Why::HostFailed);
}

TEST_F(VcpuSetTest, FailureOfTheHypervisorIsReportedWithItsCause) {
    vcpu.plan({fake::HostFailure{EIO}});

    start({&vcpu});

    const auto stop = wait_for_stop();
    EXPECT_EQ(stop.why, VcpuStop::Why::Failed);
    EXPECT_THAT(stop.text, testing::HasSubstr("Input/output error"));
}

TEST_F(VcpuSetTest, VcpuThatCannotBePreparedIsReportedAndDoesNotRun) {
    vcpu.plan({fake::out(0x100, 1)});

    start({&vcpu}, [](unsigned) -> Result<> {
        return std::unexpected(Error{ErrorKind::Unsupported, "no CPUID"});
    });

    EXPECT_EQ(wait_for_stop().text, "no CPUID");
    set.pause();
    EXPECT_EQ(device.value, 0u);
}

TEST_F(VcpuSetTest, HeldVcpuDoesNotEnterTheGuestAgain) {
    device.on_write = [this] { set.hold(); };
    vcpu.plan({fake::out(0x100, 1), fake::out(0x100, 2)});

    start({&vcpu});
    while (device.value == 0)
        std::this_thread::yield();
    set.pause();

    EXPECT_EQ(device.value, 1u);
    device.on_write = [] {};
    set.resume();
    ASSERT_TRUE(vcpu.wait_until_idle());
    EXPECT_EQ(device.value, 2u);
}

TEST_F(VcpuSetTest, PausedVcpusGoOnWhereTheyWere) {
    start({&vcpu, &other});

    for (int round = 0; round < 200; ++round) {
        set.pause();
        vcpu.plan({fake::out(0x100, 1)});
        other.plan({fake::out(0x100, 2)});
        set.resume();
    }

    EXPECT_TRUE(vcpu.wait_until_idle());
    EXPECT_TRUE(other.wait_until_idle());
}

TEST_F(VcpuSetTest, StopEndsVcpusThatWaitInTheGuest) {
    start({&vcpu, &other});

    set.stop();

    SUCCEED();  // it came back
}

TEST_F(VcpuSetTest, StopEndsAPausedSet) {
    start({&vcpu, &other});
    set.pause();

    set.stop();

    SUCCEED();  // it came back
}

// Grace periods.

/// Stays in its access until it is let go.
struct SlowRegister final : IoDevice {
    std::atomic<bool> inside = false;
    std::atomic<bool> leave = false;
    std::uint64_t read(Access) noexcept override {
        inside = true;
        inside.notify_all();
        leave.wait(false);
        return 0x5a;
    }
    void write(Access, std::uint64_t) noexcept override {}
    void let_go() {
        leave = true;
        leave.notify_all();
    }
};

TEST_F(VcpuSetTest, GracePeriodLastsAsLongAsAVcpuIsInsideOfADevice) {
    SlowRegister slow;
    ASSERT_TRUE(ports.map(0x200, 8, slow));
    vcpu.plan({fake::In{0x200}, fake::In{0x200}});
    const EventFd over = EventFd::create().value();
    start({&vcpu, &other});
    slow.inside.wait(false);

    ports.unmap(0x200);
    const auto period = set.begin_grace_period(over);
    ASSERT_TRUE(other.wait_until_idle());
    const bool over_while_inside = set.grace_period_over(period);
    const bool told_while_inside = over.drain();
    slow.let_go();
    while (!set.grace_period_over(period))
        std::this_thread::yield();

    EXPECT_FALSE(over_while_inside);
    EXPECT_FALSE(told_while_inside);
    ASSERT_TRUE(vcpu.wait_until_idle());
    EXPECT_THAT(vcpu.answers(), ElementsAre(little_endian(0x5a, 1), little_endian(0xff, 1)));
    set.stop();
    EXPECT_TRUE(over.drain());
    EXPECT_FALSE(over.drain()) << "told twice";
}

TEST_F(VcpuSetTest, GracePeriodKicksAGuestThatMakesNoAccess) {
    const EventFd over = EventFd::create_waitable().value();
    start({&vcpu, &other});
    ASSERT_TRUE(vcpu.wait_until_idle());
    ASSERT_TRUE(other.wait_until_idle());

    const auto period = set.begin_grace_period(over);
    over.wait();

    EXPECT_TRUE(set.grace_period_over(period));
    EXPECT_EQ(vcpu.record().interruptions, 1u);
}

TEST_F(VcpuSetTest, NobodyIsWaitedForInAPausedMachineOrOneThatHasEnded) {
    const EventFd over = EventFd::create().value();
    start({&vcpu, &other});
    set.pause();

    EXPECT_TRUE(set.grace_period_over(set.begin_grace_period(over)));
    EXPECT_TRUE(over.drain());

    set.resume();
    ASSERT_TRUE(vcpu.wait_until_idle());
    set.stop();
    EXPECT_TRUE(set.grace_period_over(set.begin_grace_period(over)));
}

TEST_F(VcpuSetTest, VcpuThatWasParkedCountsAgainOnceItRuns) {
    SlowRegister slow;
    ASSERT_TRUE(ports.map(0x200, 8, slow));
    const EventFd over = EventFd::create().value();
    start({&vcpu});
    set.pause();
    static_cast<void>(set.begin_grace_period(over));
    vcpu.plan({fake::In{0x200}});
    set.resume();
    slow.inside.wait(false);

    const auto period = set.begin_grace_period(over);
    const bool over_while_inside = set.grace_period_over(period);
    slow.let_go();
    set.stop();

    EXPECT_FALSE(over_while_inside);
    EXPECT_TRUE(over.drain());
}

}  // namespace
}  // namespace vmm::machine
