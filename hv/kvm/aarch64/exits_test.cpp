// SPDX-License-Identifier: Apache-2.0
#include "kvm/aarch64/exits.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmm::kvm {
namespace {

using testing::HasSubstr;
using Kind = hv::exit::SystemEvent::Kind;

struct ArmExitsTest : testing::Test {
    kvm_run run{};
};

TEST_F(ArmExitsTest, MmioHasItsAddressAndBytes) {
    run.exit_reason = KVM_EXIT_MMIO;
    run.mmio = {.phys_addr = 0x900'0000, .data = {0x41, 0x42}, .len = 2, .is_write = 1};

    const auto write = std::get<hv::exit::MmioWrite>(decode(run));

    EXPECT_EQ(write.at, Gpa{0x900'0000});
    ASSERT_EQ(write.data.size(), 2u);
    EXPECT_EQ(write.data[1], std::byte{0x42});
}

TEST_F(ArmExitsTest, LengthThatKvmCannotMeanIsCutDown) {
    run.exit_reason = KVM_EXIT_MMIO;
    run.mmio.len = 200;

    EXPECT_EQ(std::get<hv::exit::MmioRead>(decode(run)).data.size(), 8u);
}

TEST_F(ArmExitsTest, SystemEventsArePsciCalls) {
    run.exit_reason = KVM_EXIT_SYSTEM_EVENT;
    for (const auto& [type, kind] : {std::pair{KVM_SYSTEM_EVENT_SHUTDOWN, Kind::PowerOff},
                                     std::pair{KVM_SYSTEM_EVENT_RESET, Kind::Reset},
                                     std::pair{KVM_SYSTEM_EVENT_CRASH, Kind::Crash}}) {
        run.system_event.type = static_cast<std::uint32_t>(type);
        EXPECT_EQ(std::get<hv::exit::SystemEvent>(decode(run)).kind, kind);
    }
    run.system_event.type = 99;
    EXPECT_TRUE(std::holds_alternative<hv::exit::Failed>(decode(run)));
}

TEST_F(ArmExitsTest, WhatKvmCannotGoOnFromIsExplained) {
    run.exit_reason = KVM_EXIT_ARM_NISV;
    run.arm_nisv.fault_ipa = 0x1234'0000;
    EXPECT_THAT(explain(run, 0x8'0000),
                HasSubstr("the guest touched 0x12340000, which is no memory, with an "
                          "instruction that KVM does not decode at 0x80000"));
    run.exit_reason = KVM_EXIT_INTERNAL_ERROR;
    run.internal.suberror = 3;
    EXPECT_EQ(explain(run, std::nullopt), "KVM reports internal error 3");
    run.exit_reason = KVM_EXIT_FAIL_ENTRY;
    EXPECT_THAT(explain(run, 0), HasSubstr("refused to enter the guest"));
    run.exit_reason = 77;
    EXPECT_THAT(explain(run, 0), HasSubstr("exit reason 77"));
}

}  // namespace
}  // namespace vmm::kvm
