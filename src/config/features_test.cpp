// SPDX-License-Identifier: Apache-2.0
// Features that the tables describe before the machine can build them. When one is lifted in
// config/features.hpp, its line here goes, too.
#include "config/features.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/config_test_support.hpp"
#include "config/schema.hpp"

namespace vmm::config {
namespace {

using test::error_of;
using test::good;
using testing::HasSubstr;

TEST(FeaturesTest, EveryMissingKeyIsInTheTables) {
    for (const auto path : kNotYet) {
        const auto dot = path.find('.');
        const Key* key = find_key(vm_schema(), path.substr(0, dot));
        const bool below = dot != std::string_view::npos;
        EXPECT_NE(key, nullptr) << path;
        if (below && key != nullptr) {
            EXPECT_NE(find_key(*key->object, path.substr(dot + 1)), nullptr) << path;
        }
    }
}

TEST(FeaturesTest, KeysAreKnownByParentAndNameToo) {
    EXPECT_FALSE(is_supported("payload", "firmware"));
    EXPECT_TRUE(is_supported("payload", "kernel"));
    EXPECT_TRUE(is_supported("", "firmware"));
    EXPECT_TRUE(is_supported("memory", "firmware"));
    EXPECT_TRUE(is_supported("payload.firmware", "x"));
}

TEST(FeaturesTest, WhatIsMissingIsRefusedByName) {
    VmConfig firmware;
    firmware.payload.firmware = "F";
    auto hotplug = good();
    hotplug.cpus = {.boot_vcpus = 2, .max_vcpus = 4};

    EXPECT_EQ(error_of(firmware),
              "error: payload.firmware (--firmware) is not supported yet\n"
              "  help: Leave it out; this version of vmm cannot build it.\n");
    EXPECT_THAT(error_of(hotplug), HasSubstr("adding vCPUs later) is not supported yet"));
}

}  // namespace
}  // namespace vmm::config
