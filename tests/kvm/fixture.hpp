// SPDX-License-Identifier: Apache-2.0
// What the tests on /dev/kvm share.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "kvm_payload/payload.hpp"

namespace vmm::payload {

/// Skips, with the reason, where there is no KVM to test on.
struct KvmFixture : testing::Test {
    void SetUp() override {
        if (const auto why = Machine::unusable())
            GTEST_SKIP() << *why;
    }

    Machine& make(const Machine::Options& options = {}) {
        auto made = Machine::create(options);
        if (!made) {
            ADD_FAILURE() << made.error().report_with_places();
            std::abort();  // nothing of the test can be done
        }
        machine_ = *std::move(made);
        return *machine_;
    }

private:
    std::unique_ptr<Machine> machine_;
};

}  // namespace vmm::payload
