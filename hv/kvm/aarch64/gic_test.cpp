// SPDX-License-Identifier: Apache-2.0
#include "kvm/aarch64/gic.hpp"

#include <fcntl.h>
#include <linux/kvm.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "vmm/text.hpp"

namespace vmm::kvm {
namespace {

using hv::arm::GicVersion;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;

/// Makes devices, and remembers what they are told.
class FakeKernel final : public Kernel {
public:
    int ioctl(int, unsigned long number, std::uintptr_t argument) noexcept override {
        if (number == KVM_CREATE_DEVICE) {
            auto& device = *reinterpret_cast<kvm_create_device*>(argument);
            if (device.type == KVM_DEV_TYPE_ARM_VGIC_V3 && !has_v3)
                return -ENODEV;
            if (device.type == KVM_DEV_TYPE_ARM_VGIC_V2 && !has_v2)
                return -ENODEV;
            device.fd = static_cast<std::uint32_t>(::open("/dev/null", O_RDWR | O_CLOEXEC));
            told.push_back(cat("create ", device.type));
            return 0;
        }
        const auto& what = *reinterpret_cast<const kvm_device_attr*>(argument);
        const auto value = what.addr == 0 ? 0 : *reinterpret_cast<const std::uint32_t*>(what.addr);
        told.push_back(cat(what.group, " ", Hex{what.attr}, "=", Hex{value}));
        return 0;
    }

    bool has_v3 = true, has_v2 = false;
    std::vector<std::string> told;
};

struct KvmGicTest : testing::Test {
    Gic make() {
        auto gic = Gic::create(vm, layout);
        EXPECT_TRUE(gic) << gic.error().report();
        return *std::move(gic);
    }

    FakeKernel kernel;
    Handle vm{UniqueFd{}, kernel};
    hv::arm::GicLayout layout{
        .distributor = {Gpa{0x800'0000}, 0x1'0000},
        .redistributors = {{Gpa{0x80a'0000}, 2 * 0x2'0000}, {Gpa{0x8000'0000}, 0x2'0000}},
        .its = {Gpa{0x808'0000}, 0x2'0000},
        .cpu_interface = {Gpa{0x801'0000}, 0x1'0000},
        .spis = 64};
};

TEST_F(KvmGicTest, GicV3GetsItsPlacesAndItsNumberOfInterrupts) {
    const auto gic = make();

    EXPECT_EQ(gic.version(), GicVersion::V3);
    EXPECT_THAT(kernel.told, ElementsAre("create 7", "0 0x2=0x8000000", "0 0x5=0x80a0000",
                                         "0 0x5=0x80000001", "3 0x0=0x60"));
}

TEST_F(KvmGicTest, ItsFollowsTheVcpus) {
    auto gic = make();
    kernel.told.clear();

    EXPECT_TRUE(gic.complete(vm));

    EXPECT_THAT(kernel.told, ElementsAre("4 0x0=0x0", "create 8", "0 0x4=0x8080000", "4 0x0=0x0"));
}

TEST_F(KvmGicTest, HostWithoutAGicV3HasAGicV2WithoutAnIts) {
    kernel.has_v3 = false;
    kernel.has_v2 = true;
    auto gic = make();

    EXPECT_EQ(gic.version(), GicVersion::V2);
    EXPECT_THAT(kernel.told,
                ElementsAre("create 5", "0 0x0=0x8000000", "0 0x1=0x8010000", "3 0x0=0x60"));
    EXPECT_TRUE(gic.complete(vm));
    EXPECT_THAT(kernel.told, Not(Contains("create 8")));
}

TEST_F(KvmGicTest, HostWithoutEitherSaysSo) {
    kernel.has_v3 = false;

    const auto gic = Gic::create(vm, layout);

    ASSERT_FALSE(gic);
    EXPECT_THAT(gic.error().report(), HasSubstr("KVM cannot create an interrupt controller (GIC)"));
}

// Each register of each kind once, at the ends of what it is there for.
TEST_F(KvmGicTest, ResetDisablesAndForgetsAllInterrupts) {
    auto gic = make();
    ASSERT_TRUE(gic.complete(vm));
    kernel.told.clear();
    const std::vector<std::uint64_t> mpidrs{0x8000'0000, 0x8000'0101};

    ASSERT_TRUE(gic.reset(mpidrs));

    EXPECT_EQ(kernel.told.front(), "4 0x4=0x0") << "the ITS first";
    EXPECT_THAT(kernel.told,
                IsSupersetOf({"1 0x0=0x0",            // GICD_CTLR
                              "1 0x184=0xffffffff",   // GICD_ICENABLER1: SPIs 32 to 63
                              "1 0x188=0xffffffff",   // and 64 to 95
                              "1 0x204=0x0",          // GICD_ISPENDR1
                              "1 0x45c=0x0",          // GICD_IPRIORITYR23
                              "1 0xc14=0x0",          // GICD_ICFGR5
                              "1 0x6100=0x0",         // GICD_IROUTER32, lower half
                              "1 0x62fc=0x0",         // GICD_IROUTER95, upper half
                              "5 0x10100000000=0x0",  // GICR_CTLR of the second vCPU
                              "5 0x10100010180=0xffffffff", "5 0x10100010200=0x0",
                              "6 0x1010000c230=0x0"}));  // ICC_PMR_EL1 of it
    EXPECT_THAT(kernel.told, Not(Contains("1 0x180=0xffffffff"))) << "private ones have their own";
    EXPECT_THAT(kernel.told, Not(Contains("1 0x18c=0xffffffff"))) << "there is no such SPI";
}

TEST_F(KvmGicTest, ResetOfAGicV2GoesThroughItsCpuInterfaces) {
    kernel.has_v3 = false;
    kernel.has_v2 = true;
    auto gic = make();
    ASSERT_TRUE(gic.complete(vm));
    kernel.told.clear();
    const std::vector<std::uint64_t> mpidrs{0, 1};

    ASSERT_TRUE(gic.reset(mpidrs));

    EXPECT_THAT(kernel.told, IsSupersetOf({"2 0x100000000=0x0", "2 0x100000004=0x0",
                                           "1 0x100000180=0xffffffff", "1 0x284=0xffffffff"}));
}

}  // namespace
}  // namespace vmm::kvm
