// SPDX-License-Identifier: Apache-2.0
#include "kvm/x86_64/supported_cpuid.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "kvm/recording_kernel.hpp"

namespace vmm::kvm {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

constexpr auto kAsked = with_size(KVM_GET_SUPPORTED_CPUID, sizeof(ListHeader));

struct KvmSupportedCpuidTest : testing::TestWithParam<bool> {
    RecordingKernel kernel;
    const Handle kvm{UniqueFd{}, kernel};
};

INSTANTIATE_TEST_SUITE_P(InBackground, KvmSupportedCpuidTest, testing::Bool());

TEST_P(KvmSupportedCpuidTest, KvmIsAskedOnce) {
    SupportedCpuid cpuid{kvm, GetParam()};

    EXPECT_TRUE(cpuid.get());

    EXPECT_THAT(kernel.take(), SizeIs(1));
}

TEST_P(KvmSupportedCpuidTest, TheSecondAnswerIsANewOne) {
    SupportedCpuid cpuid{kvm, GetParam()};
    ASSERT_TRUE(cpuid.get());
    kernel.answers[kAsked] = -E2BIG;

    EXPECT_FALSE(cpuid.get());
}

TEST_P(KvmSupportedCpuidTest, RefusalSaysWhatWasWanted) {
    kernel.answers[kAsked] = -EPERM;
    SupportedCpuid cpuid{kvm, GetParam()};

    const auto answer = cpuid.get();

    ASSERT_FALSE(answer);
    EXPECT_THAT(answer.error().one_line(),
                HasSubstr("cannot find out what CPU features a guest may have"));
    EXPECT_THAT(answer.error().one_line(), HasSubstr("KVM_GET_SUPPORTED_CPUID"));
}

TEST_P(KvmSupportedCpuidTest, AnAnswerThatNobodyWantsIsWaitedFor) {
    { const SupportedCpuid cpuid{kvm, GetParam()}; }

    EXPECT_THAT(kernel.take(), SizeIs(GetParam() ? 1 : 0));
}

}  // namespace
}  // namespace vmm::kvm
