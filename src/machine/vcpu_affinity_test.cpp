// SPDX-License-Identifier: Apache-2.0
#include "machine/vcpu_affinity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "vmm/thread.hpp"

namespace vmm::machine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::array kUsable{0U, 1U, 2U, 5U};
constexpr unsigned kPresent = 8;

std::string error_of(const CpusConfig& cpus) {
    const auto result = check_host_cpus(cpus, kUsable, kPresent);
    return result ? "no error" : result.error().report();
}

TEST(VcpuAffinityTest, HostCpusMustExist) {
    EXPECT_EQ(error_of({.boot_vcpus = 2, .affinity = {{0, {0, 5}}, {1, {2}}}}), "no error");
    EXPECT_EQ(error_of({.boot_vcpus = 2, .affinity = {{0, {0}}, {1, {2, 8}}}}),
              "error: cpus.affinity[1]: host CPU 8 does not exist\n"
              "  help: Choose among host CPUs 0-2,5.\n");
}

TEST(VcpuAffinityTest, ProcessMustBeAllowedToUseThem) {
    EXPECT_EQ(error_of({.affinity = {{0, {1, 4}}}}),
              "error: cpus.affinity[0]: host CPU 4 is offline, or not in the cpuset of this "
              "process\n"
              "  help: Choose among host CPUs 0-2,5, or let the process have more (a systemd "
              "unit's AllowedCPUs=, a container's --cpuset-cpus).\n");
}

TEST(VcpuAffinityTest, RefusalIsABadRequest) {
    const auto refused = check_host_cpus({.affinity = {{0, {9}}}}, kUsable, kPresent);

    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::Config);
}

TEST(VcpuAffinityTest, VcpusThatAreNotNamedHaveNoHostCpus) {
    const auto usable = usable_processors();
    ASSERT_TRUE(usable);
    ASSERT_FALSE(usable->empty());
    const unsigned last = usable->back();

    const auto some = host_cpus({.boot_vcpus = 3, .affinity = {{1, {last}}}});

    ASSERT_TRUE(some);
    EXPECT_THAT(*some, ElementsAre(IsEmpty(), ElementsAre(last), IsEmpty()));
}

}  // namespace
}  // namespace vmm::machine
