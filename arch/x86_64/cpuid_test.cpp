// SPDX-License-Identifier: Apache-2.0
#include "x86_64/cpuid.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>

namespace vmm::x86_64 {
namespace {

using hv::x86::CpuidEntry;
using testing::HasSubstr;
using Entries = std::vector<CpuidEntry>;

// ---- hosts ------------------------------------------------------------------------------------

/// A leaf without subleaves, registers in order.
constexpr CpuidEntry whole(std::uint32_t leaf, std::uint32_t eax, std::uint32_t ebx,
                           std::uint32_t ecx, std::uint32_t edx) {
    return {leaf, 0, false, eax, ebx, ecx, edx};
}

/// One subleaf, registers in order.
constexpr CpuidEntry level(std::uint32_t leaf, std::uint32_t subleaf, std::uint32_t eax,
                           std::uint32_t ebx, std::uint32_t ecx, std::uint32_t edx) {
    return {leaf, subleaf, true, eax, ebx, ecx, edx};
}

// What KVM says on an Intel server with 32 threads in a package (Sapphire Rapids, abridged).
Entries intel_host() {
    return {
        whole(0, 0x20, 0x756e6547, 0x6c65746e, 0x49656e69),
        whole(1, 0x000806f8, 0x16200800, 0xfefa'b287, 0x0fab'fbff),
        level(4, 0, 0x7c004121, 0x02c0003f, 0x3f, 0),
        level(4, 1, 0x7c004122, 0x01c0003f, 0x3f, 0),
        level(4, 2, 0x7c004143, 0x03c0003f, 0x7ff, 0),
        level(4, 3, 0x7c0fc163, 0x0380003f, 0xdfff, 4),
        level(4, 4, 0, 0, 0, 0),
        level(7, 0, 2, 0xf1bf'07ab, 0x1b41'5f6e, 0xbfd8'4410),
        level(7, 1, 0x1d30, 0, 0, 0),
        whole(0xa, 0x08300802, 0, 0, 0x8603),
        level(0xb, 0, 1, 2, 0x100, 0x16),
        level(0xb, 1, 7, 64, 0x201, 0x16),
        level(0xd, 0, 0x602e7, 0x988, 0x988, 0),
        level(0x1f, 0, 1, 2, 0x100, 0x16),
        whole(0x4000'0000, 0x4000'0001, 0x4b4d564b, 0x564b4d56, 0x4d),
        whole(0x4000'0001, 0x0100'7efb, 0, 0, 0),
        whole(0x8000'0000, 0x8000'0008, 0, 0, 0),
        whole(0x8000'0001, 0, 0, 0x121, 0x2c100800),
        whole(0x8000'0002, 0x65746e49, 0x2952286c, 0, 0),
        whole(0x8000'0008, 0x3934, 0x0100d000, 0, 0),
    };
}

// What KVM says on an AMD server (Genoa, abridged).
Entries amd_host() {
    return {
        whole(0, 0x10, 0x68747541, 0x444d4163, 0x69746e65),
        whole(1, 0x00a10f11, 0x2a400800, 0xfeda'3203, 0x078b'fbff),
        level(7, 0, 1, 0xf1bf'97a9, 0, 0),
        level(0xd, 0, 0x2e7, 0x988, 0x988, 0),
        whole(0x4000'0000, 0x4000'0001, 0x4b4d564b, 0x564b4d56, 0x4d),
        whole(0x4000'0001, 0x0100'7efb, 0, 0, 0),
        whole(0x8000'0000, 0x8000'0028, 0, 0, 0),
        whole(0x8000'0001, 0x00a10f11, 0, 0x11c0'03f3, 0x2fd3'fbff),
        whole(0x8000'0008, 0x3034, 0x791e'f257, 0x0000'707f, 0),
        level(0x8000'001d, 0, 0x4121, 0x01c0003f, 0, 0),
        level(0x8000'001d, 2, 0x4143, 0x01c0003f, 0, 0),
        level(0x8000'001d, 3, 0x3c163, 0x03c0003f, 0, 0),
        level(0x8000'001d, 4, 0, 0, 0, 0),
        whole(0x8000'001e, 0x2a, 0x115, 0x300, 0),
        whole(0x8000'0022, 7, 0x106, 0, 0),
        level(0x8000'0026, 0, 1, 2, 0x100, 0),
    };
}

// AMD without TopologyExtensions, as QEMU's software emulation shows it.
Entries old_amd_host() {
    Entries host = amd_host();
    for (CpuidEntry& entry : host) {
        if (entry.leaf == 0)
            entry.eax = 0xd;
        if (entry.leaf == 0x8000'0000)
            entry.eax = 0x8000'001f;
        if (entry.leaf == 0x8000'0001)
            entry.ecx &= ~(1U << 22);
    }
    std::erase_if(host, [](const CpuidEntry& e) { return e.leaf == 0x8000'0026; });
    return host;
}

CpuidEntry answer(const Entries& entries, std::uint32_t leaf, std::uint32_t subleaf = 0) {
    for (const CpuidEntry& e : entries)
        if (e.leaf == leaf && (!e.has_subleaf || e.subleaf == subleaf))
            return e;
    return {};
}

constexpr CpuidOptions kNone{};
constexpr Topology kTwoPackages{.packages = 2, .dies = 1, .cores = 3, .threads = 2};
constexpr Topology kTwoDies{.packages = 1, .dies = 2, .cores = 3, .threads = 2};

Entries guest(const Entries& host, const Topology& topology, std::uint32_t index,
              CpuidOptions options = kNone) {
    return CpuidTemplate{host, topology, options}.for_vcpu(index);
}

// ---- what Linux makes of it ---------------------------------------------------------------------

struct Seen {
    std::size_t packages = 0;
    std::size_t cores = 0;
    std::size_t threads = 0;
    friend bool operator==(const Seen&, const Seen&) = default;
};

struct Shifts {
    unsigned core = 0;
    unsigned package = 0;
};

/// The order in which Linux 6.12 asks: 0x1f, then 0x8000'0026 where that exists, then 0xb; on AMD
/// none of them without TopologyExtensions, but 0x8000'0008.
Shifts linux_shifts(const Entries& entries) {
    const bool amd = answer(entries, 0).ebx == 0x68747541;
    const bool topoext = (answer(entries, 0x8000'0001).ecx >> 22 & 1) != 0;
    if (amd && !topoext) {
        const std::uint32_t ecx = answer(entries, 0x8000'0008).ecx;
        const unsigned width = ecx >> 12 & 0xf;
        return {0, width != 0 ? width : static_cast<unsigned>(std::bit_width(ecx & 0xff))};
    }
    for (const std::uint32_t leaf : {0x1fU, 0x8000'0026U, 0xbU}) {
        if (answer(entries, leaf & 0x8000'0000).eax < leaf || answer(entries, leaf).ebx == 0)
            continue;
        Shifts shifts{.core = answer(entries, leaf).eax & 0x1f};
        for (std::uint32_t level = 0; answer(entries, leaf, level).ebx != 0; ++level)
            shifts.package = answer(entries, leaf, level).eax & 0x1f;
        return shifts;
    }
    ADD_FAILURE() << "no topology leaf";
    return {};
}

Seen linux_sees(const Entries& host, const Topology& topology) {
    const CpuidTemplate cpuid{host, topology, kNone};
    std::set<std::uint32_t> packages;
    std::set<std::uint32_t> cores;
    std::set<std::uint32_t> threads;
    for (std::uint32_t i = 0; i < topology.vcpus(); ++i) {
        const Entries entries = cpuid.for_vcpu(i);
        const Shifts shifts = linux_shifts(entries);
        const std::uint32_t id = answer(entries, 0xb).edx;
        packages.insert(id >> shifts.package);
        cores.insert(id >> shifts.core);
        threads.insert(id);
    }
    return {packages.size(), cores.size(), threads.size()};
}

struct Case {
    Topology topology;
    Seen seen;
};

class LinuxTopologyTest : public testing::TestWithParam<Case> {};

TEST_P(LinuxTopologyTest, IntelGuestCountsWhatWasAskedFor) {
    EXPECT_EQ(linux_sees(intel_host(), GetParam().topology), GetParam().seen);
}

TEST_P(LinuxTopologyTest, AmdGuestCountsWhatWasAskedFor) {
    EXPECT_EQ(linux_sees(amd_host(), GetParam().topology), GetParam().seen);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, LinuxTopologyTest,
    testing::Values(Case{Topology::flat(1), {1, 1, 1}}, Case{Topology::flat(2), {1, 2, 2}},
                    Case{Topology::flat(8), {1, 8, 8}}, Case{Topology::flat(32), {1, 32, 32}},
                    Case{Topology::flat(300), {1, 300, 300}}, Case{kTwoPackages, {2, 6, 12}},
                    Case{kTwoDies, {1, 6, 12}},
                    Case{{.packages = 4, .dies = 2, .cores = 5, .threads = 1}, {4, 40, 40}}));

TEST(LinuxTopologyTest, AmdGuestWithoutTopologyExtensionsCountsCoresAndPackages) {
    EXPECT_EQ(linux_sees(old_amd_host(), Topology::flat(1)), (Seen{1, 1, 1}));
    EXPECT_EQ(linux_sees(old_amd_host(), Topology::flat(32)), (Seen{1, 32, 32}));
    EXPECT_EQ(linux_sees(old_amd_host(), {.packages = 2, .cores = 3}), (Seen{2, 6, 6}));
}

// ---- topology -----------------------------------------------------------------------------------

TEST(TopologyTest, FlatIsOnePackageOfSingleThreadedCores) {
    EXPECT_EQ(Topology::flat(6), (Topology{.packages = 1, .dies = 1, .cores = 6, .threads = 1}));
    EXPECT_EQ(Topology::flat(300).apic_id(299), 299U);
}

TEST(TopologyTest, ApicIdHasAFieldForEachLevel) {
    EXPECT_EQ(kTwoPackages.apic_id(0), 0U);
    EXPECT_EQ(kTwoPackages.apic_id(5), 0b0'10'1U);
    EXPECT_EQ(kTwoPackages.apic_id(6), 0b1'00'0U);
    EXPECT_EQ(kTwoPackages.apic_id(11), 0b1'10'1U);
    EXPECT_EQ(kTwoDies.apic_id(11), 0b1'10'1U);
}

TEST(TopologyTest, TheFirstOfAnyMachineHasIdZero) {
    EXPECT_EQ((Topology{.packages = 3, .dies = 4, .cores = 5, .threads = 2}).apic_id(0), 0U);
}

std::string refusal(const Topology& topology, unsigned vcpus) {
    const auto result = check(topology, vcpus);
    EXPECT_FALSE(result.has_value());
    if (result)
        return {};
    EXPECT_EQ(result.error().kind(), ErrorKind::Config);
    return result.error().report();
}

TEST(TopologyCheckTest, WhatFitsPasses) {
    EXPECT_TRUE(check(kTwoPackages, 12).has_value());
    EXPECT_TRUE(check(Topology::flat(300), 300).has_value());
}

TEST(TopologyCheckTest, WrongProductSaysBothNumbersAndWhatToDo) {
    const std::string text = refusal(kTwoPackages, 8);

    EXPECT_THAT(text, HasSubstr("topology 2:3:1:2"));
    EXPECT_THAT(text, HasSubstr("makes 12 CPUs, but the machine has 8"));
    EXPECT_THAT(text, HasSubstr("Leave the topology out"));
}

TEST(TopologyCheckTest, ZeroIsNamed) {
    EXPECT_THAT(refusal({.cores = 0}, 0), HasSubstr("has a zero in it"));
}

TEST(TopologyCheckTest, LimitsAreNamed) {
    EXPECT_THAT(refusal({.dies = 9}, 9), HasSubstr("more than 8 dies"));
    EXPECT_THAT(refusal({.threads = 257}, 257), HasSubstr("more than 256 threads"));
    EXPECT_THAT(refusal({.cores = 40'000}, 40'000), HasSubstr("15 bits of APIC id"));
}

// ---- Intel
// ----------------------------------------------------------------------------------------

TEST(IntelCpuidTest, Leaf1HasIdCountAndHypervisor) {
    const Entries entries = guest(intel_host(), kTwoPackages, 11);
    const CpuidEntry leaf = answer(entries, 1);

    EXPECT_EQ(leaf.eax, 0x000806f8U);
    EXPECT_EQ(leaf.ebx, 0x0d08'0800U);                // id 13, 8 ids in a package, CLFLUSH kept
    EXPECT_EQ(leaf.ecx, 0xfefa'3283U & ~(1U << 24));  // no DTES64, PDCM, TSC deadline
    EXPECT_EQ(leaf.edx, 0x1f8b'fbffU);                // HTT, no DS
}

TEST(IntelCpuidTest, SingleCpuHasNoHtt) {
    EXPECT_EQ(answer(guest(intel_host(), Topology::flat(1), 0), 1).edx >> 28 & 1, 0U);
    EXPECT_EQ(answer(guest(intel_host(), Topology::flat(1), 0), 1).ebx, 0x0001'0800U);
}

TEST(IntelCpuidTest, HypervisorBitIsSetEvenIfKvmLeavesItOut) {
    Entries host = intel_host();
    host[1].ecx &= 0x7fff'ffff;

    EXPECT_EQ(answer(guest(host, Topology::flat(1), 0), 1).ecx >> 31, 1U);
}

TEST(IntelCpuidTest, CountThatDoesNotFitIsAsLargeAsCanBe) {
    const CpuidEntry leaf = answer(guest(intel_host(), Topology::flat(300), 299), 1);

    EXPECT_EQ(leaf.ebx, 0x2bff'0800U);  // 299 = 0x12b
}

TEST(IntelCpuidTest, CachesAreSharedByCoreAndDie) {
    const Entries entries = guest(intel_host(), kTwoPackages, 0);

    EXPECT_EQ(answer(entries, 4, 0).eax, 0x0c00'4121U);  // 2 ids share, 4 core ids
    EXPECT_EQ(answer(entries, 4, 1).eax, 0x0c00'4122U);
    EXPECT_EQ(answer(entries, 4, 2).eax, 0x0c00'4143U);
    EXPECT_EQ(answer(entries, 4, 3).eax, 0x0c01'c163U);  // 8 ids share
    EXPECT_EQ(answer(entries, 4, 3).ebx, 0x0380'003fU);
    EXPECT_EQ(answer(entries, 4, 4).eax, 0U);
}

TEST(IntelCpuidTest, LeafBHasThreadsThenPackage) {
    const Entries entries = guest(intel_host(), kTwoPackages, 11);

    EXPECT_EQ(answer(entries, 0xb, 0), level(0xb, 0, 1, 2, 0x100, 13));
    EXPECT_EQ(answer(entries, 0xb, 1), level(0xb, 1, 3, 6, 0x201, 13));
    EXPECT_EQ(answer(entries, 0xb, 2), level(0xb, 2, 0, 0, 2, 13));
}

TEST(IntelCpuidTest, IdsOfMoreThan8BitsAreWholeInTheTopologyLeaves) {
    const Entries flat = guest(intel_host(), Topology::flat(300), 299);
    EXPECT_EQ(answer(flat, 0xb, 0), level(0xb, 0, 0, 1, 0x100, 299));
    EXPECT_EQ(answer(flat, 0xb, 1), level(0xb, 1, 9, 300, 0x201, 299));
    EXPECT_EQ(answer(flat, 0x1f, 1), level(0x1f, 1, 9, 300, 0x201, 299));

    // 150 vCPUs whose counts are not powers of two: the last one's id has gaps below it.
    constexpr Topology kSparse{.packages = 2, .dies = 5, .cores = 5, .threads = 3};
    const Entries sparse = guest(intel_host(), kSparse, 149);
    EXPECT_EQ(answer(sparse, 0xb, 2).edx, 1U << 8 | 4U << 5 | 4U << 2 | 2U);
    EXPECT_EQ(answer(sparse, 1).ebx >> 24, 0x92U);  // the lower 8 bits
}

TEST(IntelCpuidTest, Leaf1fHasDies) {
    const Entries entries = guest(intel_host(), kTwoDies, 11);

    EXPECT_EQ(answer(entries, 0x1f, 0), level(0x1f, 0, 1, 2, 0x100, 13));
    EXPECT_EQ(answer(entries, 0x1f, 1), level(0x1f, 1, 3, 6, 0x201, 13));
    EXPECT_EQ(answer(entries, 0x1f, 2), level(0x1f, 2, 4, 12, 0x502, 13));
    EXPECT_EQ(answer(entries, 0x1f, 3), level(0x1f, 3, 0, 0, 3, 13));
    EXPECT_EQ(answer(entries, 0xb, 1), level(0xb, 1, 4, 12, 0x201, 13));
}

TEST(IntelCpuidTest, HostWithoutLeaf1fGetsItForDiesOnly) {
    Entries host = intel_host();
    host[0].eax = 0x16;

    EXPECT_EQ(answer(guest(host, kTwoPackages, 0), 0).eax, 0x16U);
    EXPECT_EQ(answer(guest(host, kTwoPackages, 0), 0x1f).ebx, 0U);
    EXPECT_EQ(answer(guest(host, kTwoDies, 0), 0).eax, 0x1fU);
    EXPECT_EQ(answer(guest(host, kTwoDies, 0), 0x1f).ebx, 2U);
}

TEST(IntelCpuidTest, HostOlderThanLeafBDoesNotGetIt) {
    Entries host = intel_host();
    host[0].eax = 0xa;

    EXPECT_EQ(answer(guest(host, Topology::flat(2), 0), 0xb).ebx, 0U);
}

TEST(IntelCpuidTest, WhatIsNotTopologyIsTheHosts) {
    const Entries entries = guest(intel_host(), kTwoPackages, 3);

    EXPECT_EQ(answer(entries, 0), intel_host()[0]);
    EXPECT_EQ(answer(entries, 7, 0).ebx, 0xf1bf'07abU);
    EXPECT_EQ(answer(entries, 0xd), answer(intel_host(), 0xd));
    EXPECT_EQ(answer(entries, 0x4000'0000), answer(intel_host(), 0x4000'0000));
    EXPECT_EQ(answer(entries, 0x4000'0001), answer(intel_host(), 0x4000'0001));
    EXPECT_EQ(answer(entries, 0x8000'0001), answer(intel_host(), 0x8000'0001));
    EXPECT_EQ(answer(entries, 0x8000'0002), answer(intel_host(), 0x8000'0002));
    EXPECT_EQ(answer(entries, 0x8000'0008), answer(intel_host(), 0x8000'0008));
    EXPECT_EQ(answer(entries, 0x8000'001e), CpuidEntry{});
}

// ---- AMD
// ------------------------------------------------------------------------------------------

TEST(AmdCpuidTest, Leaf1CountsThreads) {
    EXPECT_EQ(answer(guest(amd_host(), kTwoDies, 11), 1).ebx, 0x0d0c'0800U);
    EXPECT_EQ(answer(guest(amd_host(), kTwoDies, 11), 1).edx, 0x178b'fbffU);
}

TEST(AmdCpuidTest, SizeLeafHasThreadsAndIdWidth) {
    EXPECT_EQ(answer(guest(amd_host(), kTwoDies, 0), 0x8000'0008).ecx, 0x400bU);
    EXPECT_EQ(answer(guest(amd_host(), Topology::flat(1), 0), 0x8000'0008).ecx, 0U);
    EXPECT_EQ(answer(guest(amd_host(), Topology::flat(300), 0), 0x8000'0008).ecx, 0x90ffU);
    EXPECT_EQ(answer(guest(amd_host(), kTwoDies, 0), 0x8000'0008).eax, 0x3034U);
}

TEST(AmdCpuidTest, LegacyMultiCoreBitFollowsTheCount) {
    EXPECT_EQ(answer(guest(amd_host(), Topology::flat(1), 0), 0x8000'0001).ecx >> 1 & 1, 0U);
    EXPECT_EQ(answer(guest(amd_host(), Topology::flat(2), 0), 0x8000'0001).ecx >> 1 & 1, 1U);
}

TEST(AmdCpuidTest, TopologyLeafHasIdCoreAndNode) {
    const CpuidEntry leaf = answer(guest(amd_host(), kTwoDies, 11), 0x8000'001e);

    EXPECT_EQ(leaf, (CpuidEntry{.leaf = 0x8000'001e, .eax = 13, .ebx = 0x105, .ecx = 0x101}));
}

TEST(AmdCpuidTest, CoreIdsStartAgainInEachPackageAndNodesDoNot) {
    const CpuidEntry leaf = answer(guest(amd_host(), kTwoPackages, 6), 0x8000'001e);

    EXPECT_EQ(leaf, (CpuidEntry{.leaf = 0x8000'001e, .eax = 8, .ebx = 0x100, .ecx = 1}));
}

TEST(AmdCpuidTest, CachesAreSharedByCoreAndDie) {
    const Entries entries = guest(amd_host(), kTwoDies, 0);

    EXPECT_EQ(answer(entries, 0x8000'001d, 0).eax, 0x0000'4121U);
    EXPECT_EQ(answer(entries, 0x8000'001d, 2).eax, 0x0000'4143U);
    EXPECT_EQ(answer(entries, 0x8000'001d, 3).eax, 0x0001'4163U);  // 6 threads
    EXPECT_EQ(answer(entries, 0x8000'001d, 4).eax, 0U);
}

TEST(AmdCpuidTest, ExtendedTopologyHasFourLevels) {
    const Entries entries = guest(amd_host(), kTwoDies, 11);
    constexpr std::uint32_t kLeaf = 0x8000'0026;

    EXPECT_EQ(answer(entries, kLeaf, 0), level(kLeaf, 0, 1, 2, 0x100, 13));
    EXPECT_EQ(answer(entries, kLeaf, 1), level(kLeaf, 1, 3, 6, 0x201, 13));
    EXPECT_EQ(answer(entries, kLeaf, 2), level(kLeaf, 2, 3, 6, 0x302, 13));
    EXPECT_EQ(answer(entries, kLeaf, 3), level(kLeaf, 3, 4, 12, 0x403, 13));
    EXPECT_EQ(answer(entries, kLeaf, 4), level(kLeaf, 4, 0, 0, 4, 13));
}

TEST(AmdCpuidTest, HasLeafBAndNever1f) {
    const Entries entries = guest(amd_host(), kTwoDies, 11);

    EXPECT_EQ(answer(entries, 0xb, 1), level(0xb, 1, 4, 12, 0x201, 13));
    EXPECT_EQ(answer(entries, 0x1f), CpuidEntry{});
    EXPECT_EQ(answer(entries, 0).eax, 0x10U);
}

TEST(AmdCpuidTest, WithoutTopologyExtensionsTheirLeavesAreMissing) {
    const Entries entries = guest(old_amd_host(), Topology::flat(4), 3);

    EXPECT_EQ(answer(entries, 0x8000'001d), CpuidEntry{});
    EXPECT_EQ(answer(entries, 0x8000'001e), CpuidEntry{});
    EXPECT_EQ(answer(entries, 0x8000'0026), CpuidEntry{});
    EXPECT_EQ(answer(entries, 0x8000'0008).ecx, 0x2003U);
}

TEST(AmdCpuidTest, HygonIsTreatedAlike) {
    Entries host = amd_host();
    host[0].ebx = 0x6f677948;

    EXPECT_EQ(answer(guest(host, kTwoDies, 11), 0x8000'001e).eax, 13U);
}

// ---- options ------------------------------------------------------------------------------------

TEST(CpuidOptionsTest, TscDeadlineIsWhatTheApicCanDo) {
    const auto bit = [](CpuidOptions options) {
        return answer(guest(amd_host(), Topology::flat(1), 0, options), 1).ecx >> 24 & 1;
    };

    EXPECT_EQ(bit({.tsc_deadline = true}), 1U);
    EXPECT_EQ(bit({.tsc_deadline = false}), 0U);
}

TEST(CpuidTemplateTest, CountersAreHidden) {
    const Entries intel = guest(intel_host(), Topology::flat(1), 0);
    EXPECT_EQ(answer(intel, 0xa), (CpuidEntry{.leaf = 0xa}));
    EXPECT_EQ(answer(intel, 7, 0).edx, 0xbfd0'4410U);
    EXPECT_EQ(answer(intel, 7, 1).eax, 0x1c30U);

    const Entries amd = guest(amd_host(), Topology::flat(1), 0);
    EXPECT_EQ(answer(amd, 0x8000'0001).ecx, 0x0040'03f1U);
    EXPECT_EQ(answer(amd, 0x8000'0022), CpuidEntry{});
}

TEST(CpuidOptionsTest, WideMessagesAreAKvmFeature) {
    const auto features = [](CpuidOptions options) {
        return answer(guest(intel_host(), Topology::flat(1), 0, options), 0x4000'0001).eax;
    };

    EXPECT_EQ(features({.extended_msi_destination = true}), 0x0100'fefbU);
    EXPECT_EQ(features({.extended_msi_destination = false}), 0x0100'7efbU);
}

TEST(CpuidTemplateTest, AddressBitsPreferTheGuestsOwn) {
    Entries host = intel_host();
    EXPECT_EQ((CpuidTemplate{host, Topology::flat(1), kNone}.address_bits()), 52U);

    host.back().eax = 0x0030'3934;
    EXPECT_EQ((CpuidTemplate{host, Topology::flat(1), kNone}.address_bits()), 48U);

    host.pop_back();
    EXPECT_EQ((CpuidTemplate{host, Topology::flat(1), kNone}.address_bits()), 36U);
}

TEST(CpuidTemplateTest, VcpusDifferInNothingButTheirIds) {
    const CpuidTemplate cpuid{amd_host(), Topology::flat(2), kNone};
    Entries first = cpuid.for_vcpu(0);
    const Entries second = cpuid.for_vcpu(1);

    for (CpuidEntry& entry : first) {
        if (entry.leaf == 1)
            entry.ebx += 0x0100'0000;
        if (entry.leaf == 0xb || entry.leaf == 0x8000'0026)
            entry.edx += 1;
        if (entry.leaf == 0x8000'001e) {
            entry.eax += 1;
            entry.ebx += 1;
        }
    }
    EXPECT_EQ(first, second);
}

TEST(CpuidTemplateTest, HostThatSaysNothingIsNoTrouble) {
    const CpuidTemplate cpuid{{}, Topology::flat(2), kNone};

    EXPECT_TRUE(cpuid.for_vcpu(1).empty());
}

}  // namespace
}  // namespace vmm::x86_64
