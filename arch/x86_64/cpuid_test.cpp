#include "x86_64/cpuid.hpp"

#include <gtest/gtest.h>

namespace vmm::x86_64 {
namespace {

TEST(TopologyTest, FlatIsOnePackageOfSingleThreadedCores) {
    EXPECT_EQ(Topology::flat(6), (Topology{.packages = 1, .dies = 1, .cores = 6, .threads = 1}));
    EXPECT_EQ(Topology::flat(6).apic_id(5), 5U);
}

}  // namespace
}  // namespace vmm::x86_64
