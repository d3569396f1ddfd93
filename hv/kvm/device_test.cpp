// SPDX-License-Identifier: Apache-2.0
#include "kvm/device.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "kvm/host.hpp"
#include VMM_HYPERVISOR_HEADER

namespace vmm::kvm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct KvmDeviceTest : testing::Test {
    KvmDeviceTest() {
        std::filesystem::create_directories(folder);
        std::ofstream{folder / "passwd"} << "root:x:0:0:root:/root:/bin/sh\n";
        std::ofstream{folder / "group"} << "root:x:0:\ndaemon:x:1:\nbroken\nkvm:x:104:ann,bob\n";
    }
    ~KvmDeviceTest() override { std::filesystem::remove_all(folder); }

    Error denied(const DevicePermissions& who) const {
        return permission_denied(Error::os("open", EACCES), "/dev/kvm", who,
                                 (folder / "passwd").c_str(), (folder / "group").c_str());
    }

    std::filesystem::path folder = std::filesystem::path{testing::TempDir()} /
                                   ("kvm_device_test_" + std::to_string(::getpid()));
};

TEST_F(KvmDeviceTest, MissingDeviceSaysHowToGetOne) {
    const auto vm = create_vm("/nonexistent/kvm");

    ASSERT_FALSE(vm);
    EXPECT_EQ(vm.error().kind(), ErrorKind::Os);
    EXPECT_EQ(vm.error().os_error(), ENOENT);
    EXPECT_THAT(vm.error().one_line(), HasSubstr("this host offers no KVM at /nonexistent/kvm"));
    EXPECT_THAT(vm.error().advice(),
                AllOf(HasSubstr("modprobe kvm-intel"), HasSubstr("nested virtualisation")));
}

TEST_F(KvmDeviceTest, AnotherDeviceIsNotKvm) {
    const auto vm = create_vm("/dev/null");

    ASSERT_FALSE(vm);
    EXPECT_EQ(vm.error().kind(), ErrorKind::Os);
    EXPECT_THAT(vm.error().one_line(), HasSubstr("/dev/null is a device, but not KVM"));
    EXPECT_THAT(vm.error().advice(), HasSubstr("10, 232"));
}

TEST_F(KvmDeviceTest, FileIsNotEvenADevice) {
    const auto file = folder / "group";

    const auto vm = create_vm(file.c_str());

    ASSERT_FALSE(vm);
    EXPECT_THAT(vm.error().one_line(), HasSubstr("not even a character device"));
}

TEST_F(KvmDeviceTest, GroupThatMayIsAdvised) {
    const auto error = denied({.owner = 0, .group = 104, .mode = 0660, .in_group = false});

    EXPECT_THAT(error.one_line(), AllOf(HasSubstr("no permission to use /dev/kvm"),
                                        HasSubstr("(owner root, group kvm, mode 0660)")));
    EXPECT_THAT(error.advice(), HasSubstr("sudo usermod -aG kvm $USER"));
}

TEST_F(KvmDeviceTest, GroupThatMayNotIsNotAdvised) {
    const auto error = denied({.owner = 0, .group = 1, .mode = 0600, .in_group = false});

    EXPECT_THAT(error.one_line(), HasSubstr("group daemon, mode 0600"));
    EXPECT_THAT(error.advice(),
                AllOf(HasSubstr("chgrp kvm /dev/kvm"), Not(HasSubstr("usermod -aG daemon"))));
}

TEST_F(KvmDeviceTest, MemberOfTheGroupLooksElsewhere) {
    const auto error = denied({.owner = 0, .group = 104, .mode = 0660, .in_group = true});

    EXPECT_THAT(error.advice(), HasSubstr("something else forbids it"));
}

TEST_F(KvmDeviceTest, IdWithoutANameIsANumber) {
    const auto error = denied({.owner = 4242, .group = 4343, .mode = 0660, .in_group = false});

    EXPECT_THAT(error.one_line(), HasSubstr("owner 4242, group 4343"));
}

TEST_F(KvmDeviceTest, KvmWithoutHardwareIsToldAndWhyThatMatters) {
    std::filesystem::create_directories(folder / "kvm");
    std::filesystem::create_directories(folder / "kvm_pvm");

    const auto text = missing_hardware_virtualisation(folder.c_str());

    EXPECT_THAT(text, AllOf(HasSubstr("KVM (kvm_pvm) has no hardware virtualisation"),
                            HasSubstr("stock kernel"), HasSubstr("VT-x or AMD-V")));
}

TEST_F(KvmDeviceTest, HardwareKvmNeedsNoAdvice) {
    std::filesystem::create_directories(folder / "kvm");
    std::filesystem::create_directories(folder / "kvm_amd");

    EXPECT_THAT(missing_hardware_virtualisation(folder.c_str()), IsEmpty());
}

TEST_F(KvmDeviceTest, HiddenSysProvesNothing) {
    EXPECT_THAT(missing_hardware_virtualisation("/nonexistent"), IsEmpty());
}

}  // namespace
}  // namespace vmm::kvm
