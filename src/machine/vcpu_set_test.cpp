// SPDX-License-Identifier: Apache-2.0
#include "machine/vcpu_set.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>

#include "fake/vcpu.hpp"

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
        ASSERT_TRUE(set.start(vcpus, std::move(prepare)));
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

}  // namespace
}  // namespace vmm::machine
