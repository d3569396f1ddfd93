// SPDX-License-Identifier: Apache-2.0
#include "memory/guest_ram.hpp"

#include <sys/mman.h>
#include <sys/resource.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <fstream>
#include <utility>
#include <vector>

#include "memory/host_memory.hpp"
#include "vmm/host_page.hpp"

namespace vmm {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

constexpr std::array kTwoRanges{GpaRange{Gpa{0}, 2 * kMiB}, GpaRange{Gpa{8 * kMiB}, 2 * kMiB}};

struct Observer final : MemoryObserver {
    std::vector<Gpa> added;
    Result<> memory_added(const MemoryRegion& region) override {
        added.push_back(region.range.first);
        return {};
    }
    void memory_removed(const MemoryRegion&) noexcept override {}
    Result<> privacy_changed(const MemoryRegion&, GpaRange part, Privacy now) override {
        became.emplace_back(part.first, now);
        return {};
    }
    std::vector<std::pair<Gpa, Privacy>> became;
};

struct GuestRamTest : testing::Test {
    std::unique_ptr<GuestRam> make(const RamSettings& settings = {}) {
        auto ram = GuestRam::create(kTwoRanges, settings);
        EXPECT_TRUE(ram) << ram.error().report();
        return ram ? std::move(*ram) : nullptr;
    }
};

TEST_F(GuestRamTest, WhatWasWrittenIsReadBack) {
    const auto ram = make();

    EXPECT_TRUE(ram->write(Gpa{8 * kMiB + 4}, std::uint32_t{0xabcd}));

    EXPECT_EQ(ram->read<std::uint32_t>(Gpa{8 * kMiB + 4}), 0xabcdu);
}

TEST_F(GuestRamTest, RangeThatLeavesRamCopiesNothing) {
    const auto ram = make();

    EXPECT_FALSE(ram->write(Gpa{2 * kMiB - 2}, std::uint32_t{0x01020304}));

    EXPECT_EQ(ram->read<std::uint16_t>(Gpa{2 * kMiB - 2}), 0u);
    EXPECT_EQ(ram->read<std::uint32_t>(Gpa{2 * kMiB - 2}), std::nullopt);
    EXPECT_EQ(ram->read<std::uint32_t>(Gpa{4 * kMiB}), std::nullopt);
    EXPECT_EQ(ram->read<std::uint64_t>(Gpa{~std::uint64_t{0} - 3}), std::nullopt);
}

TEST_F(GuestRamTest, LastByteOfARegionIsRamAndTheNextIsNot) {
    const auto ram = make();

    EXPECT_TRUE(ram->read<std::uint8_t>(Gpa{2 * kMiB - 1}).has_value());
    EXPECT_FALSE(ram->read<std::uint8_t>(Gpa{2 * kMiB}).has_value());
}

TEST_F(GuestRamTest, TouchingRegionsAreOneRange) {
    constexpr std::array touching{GpaRange{Gpa{0}, 2 * kMiB}, GpaRange{Gpa{2 * kMiB}, 2 * kMiB}};
    const auto ram = GuestRam::create(touching, {});
    ASSERT_TRUE(ram);

    EXPECT_TRUE((*ram)->write(Gpa{2 * kMiB - 4}, std::uint64_t{0x1122334455667788}));

    EXPECT_EQ((*ram)->read<std::uint64_t>(Gpa{2 * kMiB - 4}), 0x1122334455667788u);
    std::array<iovec, 2> two{};
    EXPECT_EQ((*ram)->host_iovecs(Gpa{2 * kMiB - 4}, 8, Transfer::ToGuest, two), 2u);
    EXPECT_EQ((*ram)->host_iovecs(Gpa{2 * kMiB - 4}, 8, Transfer::ToGuest, std::span{two}.first(1)),
              std::nullopt);
}

TEST_F(GuestRamTest, ViewGoesOnInTheNextRegion) {
    constexpr std::array touching{GpaRange{Gpa{0}, 2 * kMiB}, GpaRange{Gpa{2 * kMiB}, 2 * kMiB}};
    const auto ram = GuestRam::create(touching, {});
    ASSERT_TRUE(ram);

    GuestView view = (*ram)->view(Gpa{2 * kMiB - 8}, 16);
    ASSERT_TRUE(view);
    EXPECT_EQ(view.size(), 16u);
    view.store(8, std::uint64_t{0x1122334455667788});

    EXPECT_EQ((*ram)->read<std::uint64_t>(Gpa{2 * kMiB}), 0x1122334455667788u);
    EXPECT_FALSE((*ram)->view(Gpa{4 * kMiB - 8}, 16));
}

TEST_F(GuestRamTest, ViewOfAHoleIsEmpty) {
    const auto ram = make();

    EXPECT_FALSE(ram->view(Gpa{2 * kMiB - 8}, 16));
    EXPECT_FALSE(ram->view(Gpa{0}, 3 * kMiB));
    EXPECT_TRUE(ram->view(Gpa{2 * kMiB - 8}, 8));
}

TEST_F(GuestRamTest, LateSubscriberGetsAReplay) {
    const auto ram = make();
    Observer observer;

    EXPECT_TRUE(ram->subscribe(observer));

    EXPECT_THAT(observer.added, testing::ElementsAre(Gpa{0}, Gpa{8 * kMiB}));
}

TEST_F(GuestRamTest, ClearMakesPrivateMemoryZero) {
    const auto ram = make();
    EXPECT_TRUE(ram->clear());  // what a start does
    EXPECT_TRUE(ram->write(Gpa{0x1000}, std::uint32_t{7}));

    EXPECT_TRUE(ram->clear());

    EXPECT_EQ(ram->read<std::uint32_t>(Gpa{0x1000}), 0u);
}

TEST_F(GuestRamTest, ClearMakesSharedMemoryZero) {
    const auto ram = make({.shared = true});
    EXPECT_TRUE(ram->clear());
    EXPECT_TRUE(ram->write(Gpa{0x1000}, std::uint32_t{7}));

    EXPECT_TRUE(ram->clear());

    EXPECT_EQ(ram->read<std::uint32_t>(Gpa{0x1000}), 0u);
    EXPECT_GE(ram->regions()[0].fd, 0);
}

TEST_F(GuestRamTest, ClearSharesWhatWasPrivateAndNothingElse) {
    const auto ram = make();
    EXPECT_TRUE(ram->clear());
    Observer observer;
    ASSERT_TRUE(ram->subscribe(observer));
    ASSERT_TRUE(ram->set_privacy({Gpa{8 * kMiB + 4096}, 4096}, Privacy::Private));

    EXPECT_TRUE(ram->clear());
    EXPECT_TRUE(ram->clear());

    EXPECT_THAT(observer.became,
                testing::ElementsAre(std::pair{Gpa{8 * kMiB + 4096}, Privacy::Private},
                                     std::pair{Gpa{8 * kMiB + 4096}, Privacy::Shared}));
}

/// Pages of the first region that the host backs.
std::size_t backed(const GuestRam& ram) {
    const MemoryRegion& region = ram.regions()[0];
    std::vector<unsigned char> pages(region.range.size / 4096);
    EXPECT_EQ(::mincore(region.host, region.range.size, pages.data()), 0);
    return static_cast<std::size_t>(
        std::ranges::count_if(pages, [](unsigned char page) { return (page & 1) != 0; }));
}

TEST_F(GuestRamTest, ClearKeepsThePromiseToBackAll) {
    for (const bool shared : {false, true}) {
        const auto ram = make({.shared = shared, .prefault = true});
        EXPECT_TRUE(ram->clear());
        ASSERT_EQ(backed(*ram), 512u);

        EXPECT_TRUE(ram->clear());

        EXPECT_EQ(backed(*ram), 512u) << shared;
    }
    const auto lazy = make();
    EXPECT_TRUE(lazy->clear());
    EXPECT_EQ(backed(*lazy), 0u);
    EXPECT_TRUE(lazy->write(Gpa{0x1000}, std::uint32_t{7}));
    EXPECT_TRUE(lazy->clear());
    EXPECT_EQ(backed(*lazy), 0u);
}

TEST_F(GuestRamTest, MoreThanTheHostHasIsRefused) {
    constexpr std::array huge{GpaRange{Gpa{0}, std::uint64_t{100} << 40}};

    const auto ram = GuestRam::create(huge, {});

    ASSERT_FALSE(ram);
    EXPECT_EQ(ram.error().kind(), ErrorKind::Config);
    EXPECT_THAT(ram.error().report(), HasSubstr("the guest is to have 100 TiB, this host"));
    EXPECT_THAT(ram.error().report(), HasSubstr("--memory SIZE"));
}

TEST_F(GuestRamTest, LimitOnAddressSpaceSaysSo) {
    constexpr std::array two_gib{GpaRange{Gpa{0}, 2048 * kMiB}};
    std::uint64_t pages = 0;
    std::ifstream{"/proc/self/statm"} >> pages;
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_AS, &before), 0);
    const rlimit low{.rlim_cur = pages * 4096 + 1024 * kMiB, .rlim_max = before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_AS, &low), 0);

    const auto ram = GuestRam::create(two_gib, {});

    ::setrlimit(RLIMIT_AS, &before);
    ASSERT_FALSE(ram);
    EXPECT_EQ(ram.error().report(),
              "error: memory: find room for 2 GiB in the address space: mmap: Cannot allocate "
              "memory (errno 12)\n"
              "  help: Raise the limit on address space (`ulimit -v unlimited`), or give the guest "
              "less with --memory SIZE.\n");
}

TEST_F(GuestRamTest, SizeThatIsNoMultipleOfTheHugePageIsRefused) {
    constexpr std::array odd{GpaRange{Gpa{0}, 3 * kMiB}};

    const auto ram = GuestRam::create(odd, {.hugepages = true, .hugepage_size = 2 * kMiB});

    ASSERT_FALSE(ram);
    EXPECT_EQ(ram.error().report(),
              "error: memory: 3 MiB of RAM cannot be made of the huge pages of 2 MiB of the pool\n"
              "  help: Give the guest a multiple of 2 MiB, such as 2 MiB or 4 MiB.\n");
}

TEST_F(GuestRamTest, SizeThatIsNoMultipleOfTheHostsPagesIsRefused) {
    const std::array odd{GpaRange{Gpa{0}, kMiB + host_page() / 2}};
    const auto ram = GuestRam::create(odd, {});

    ASSERT_FALSE(ram);
    EXPECT_THAT(ram.error().report(), HasSubstr("are not whole pages of this host, which has "
                                                "pages of"));
}

TEST_F(GuestRamTest, EmptyHugePagePoolSaysHowToFillIt) {
    constexpr std::array large{GpaRange{Gpa{0}, std::uint64_t{1} << 40}};

    const auto ram = GuestRam::create(large, {.hugepages = true, .hugepage_size = 2 * kMiB});

    ASSERT_FALSE(ram);
    EXPECT_THAT(ram.error().report(), HasSubstr("hugepages-2048kB/nr_hugepages"));
}

TEST_F(GuestRamTest, HugePagesThatTheHostLacksAreNamedBesideThoseThatItHas) {
    constexpr std::array small{GpaRange{Gpa{0}, 8 * kMiB}};

    const auto ram = GuestRam::create(small, {.hugepages = true, .hugepage_size = 4 * kMiB});

    ASSERT_FALSE(ram);
    EXPECT_EQ(ram.error().kind(), ErrorKind::Config);
    EXPECT_THAT(ram.error().report(),
                HasSubstr("memory: take huge pages of 4 MiB, which this host lacks: memfd_create"));
    EXPECT_THAT(ram.error().report(),
                AnyOf(HasSubstr("help: Give another hugepage_size, or leave it out: the host has "),
                      HasSubstr("help: Leave hugepages out: this kernel has no pool of them.")));
}

TEST_F(GuestRamTest, HostAddressIsAlignedForHugePages) {
    const auto ram = make();

    EXPECT_EQ(std::bit_cast<std::uintptr_t>(ram->regions()[0].host) % (2 * kMiB), 0u);
}

}  // namespace
}  // namespace vmm
