// SPDX-License-Identifier: Apache-2.0
// ROM and device memory that come and go beside RAM, and RAM that becomes private.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <optional>
#include <vector>

#include "memory/guest_ram.hpp"
#include "vmm/text.hpp"

namespace vmm {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::array kRam{GpaRange{Gpa{0}, 2 * kMiB}};

/// Has the regions that it was told of, and can follow a number of additions.
struct Follower final : MemoryObserver {
    Result<> memory_added(const MemoryRegion& region) override {
        if (can_follow == 0)
            return std::unexpected(Error{ErrorKind::Os, "no slot is free"});
        --can_follow;
        there.push_back(region.range.first);
        kinds.push_back(region.kind);
        return {};
    }
    void memory_removed(const MemoryRegion& region) noexcept override {
        std::erase(there, region.range.first);
        for (const auto& [page, privacy] : pages)
            if (privacy == Privacy::Private && region.range.contains(Gpa{page}, 1))
                log.push_back("removed while private");
    }
    Result<> privacy_changed(const MemoryRegion& region, GpaRange part, Privacy now) override {
        if (refuses == part.first)
            return std::unexpected(Error{ErrorKind::Os, "cannot be converted"});
        EXPECT_TRUE(region.range.contains(part.first, part.size));
        EXPECT_THAT(there, Contains(region.range.first));
        log.push_back(
            cat(now == Privacy::Private ? "private " : "shared ", part.first, "+", Hex{part.size}));
        for (std::uint64_t at = 0; at < part.size; at += kPage) {
            auto& page = pages[part.first.value() + at];
            EXPECT_NE(page, now) << "told of what it knows";
            page = now;
        }
        return {};
    }
    std::vector<std::uint64_t> private_pages() const {
        std::vector<std::uint64_t> all;
        for (const auto& [page, privacy] : pages)
            if (privacy == Privacy::Private)
                all.push_back(page);
        return all;
    }

    std::vector<Gpa> there;
    std::vector<MemoryKind> kinds;
    int can_follow = 100;
    std::vector<std::string> log;            ///< of changes of privacy
    std::map<std::uint64_t, Privacy> pages;  ///< that were told of
    std::optional<Gpa> refuses;              ///< a change that begins here
};

struct MemoryLayoutTest : testing::Test {
    MemoryRegion at(std::uint64_t where) { return memory.at(Gpa{where}); }

    alignas(4096) std::array<std::byte, 2 * 4096> bytes{};
    DeviceMemory memory{.host = bytes.data(), .size = bytes.size()};
    std::unique_ptr<GuestRam> ram = std::move(*GuestRam::create(kRam, {}));
    Follower follower;
};

TEST_F(MemoryLayoutTest, ObserverIsToldOfDeviceMemoryThatComesAndGoes) {
    ASSERT_TRUE(ram->subscribe(follower));

    ASSERT_TRUE(ram->add(at(8 * kMiB)));
    EXPECT_THAT(follower.there, ElementsAre(Gpa{0}, Gpa{8 * kMiB}));
    EXPECT_THAT(follower.kinds, ElementsAre(MemoryKind::Ram, MemoryKind::Device));
    ram->remove(at(8 * kMiB));

    EXPECT_THAT(follower.there, ElementsAre(Gpa{0}));
}

TEST_F(MemoryLayoutTest, LateSubscriberGetsAReplayOfWhatIsThere) {
    ASSERT_TRUE(ram->add(at(8 * kMiB)));
    ASSERT_TRUE(ram->add(at(16 * kMiB)));
    ram->remove(at(8 * kMiB));

    ASSERT_TRUE(ram->subscribe(follower));

    EXPECT_THAT(follower.there, ElementsAre(Gpa{0}, Gpa{16 * kMiB}));
}

TEST_F(MemoryLayoutTest, OverlapIsRefusedAndNobodyIsTold) {
    ASSERT_TRUE(ram->subscribe(follower));
    ASSERT_TRUE(ram->add(at(8 * kMiB)));

    EXPECT_FALSE(ram->add(at(2 * kMiB - 4096)));  // RAM
    EXPECT_FALSE(ram->add(at(8 * kMiB + 4096)));
    EXPECT_FALSE(ram->add(at(8 * kMiB - 4096)));
    EXPECT_TRUE(ram->add(at(8 * kMiB + 2 * 4096)));

    EXPECT_THAT(follower.there, ElementsAre(Gpa{0}, Gpa{8 * kMiB}, Gpa{8 * kMiB + 2 * 4096}));
}

TEST_F(MemoryLayoutTest, WhatOneObserverCannotFollowIsTakenBackFromTheOthers) {
    Follower full;
    full.can_follow = 1;  // RAM
    ASSERT_TRUE(ram->subscribe(follower));
    ASSERT_TRUE(ram->subscribe(full));

    EXPECT_FALSE(ram->add(at(8 * kMiB)));

    EXPECT_THAT(follower.there, ElementsAre(Gpa{0}));
    full.can_follow = 1;
    EXPECT_TRUE(ram->add(at(8 * kMiB)));
}

TEST_F(MemoryLayoutTest, SubscriberThatCannotFollowIsLeftWithNothing) {
    ASSERT_TRUE(ram->add(at(8 * kMiB)));
    follower.can_follow = 1;

    EXPECT_FALSE(ram->subscribe(follower));

    EXPECT_THAT(follower.there, IsEmpty());
    ram->remove(at(8 * kMiB));
}

TEST_F(MemoryLayoutTest, DeviceMemoryIsNotRam) {
    ASSERT_TRUE(ram->add(at(8 * kMiB)));

    EXPECT_FALSE(ram->write(Gpa{8 * kMiB}, std::uint32_t{1}));
    EXPECT_FALSE(ram->view(Gpa{8 * kMiB}, 8));
    EXPECT_EQ(ram->regions().size(), 1u);
}

TEST_F(MemoryLayoutTest, RomIsToldOfLikeDeviceMemoryAndIsNotRam) {
    ASSERT_TRUE(ram->subscribe(follower));
    auto rom = at(8 * kMiB);
    rom.kind = MemoryKind::Rom;

    ASSERT_TRUE(ram->add(rom));

    EXPECT_THAT(follower.kinds, ElementsAre(MemoryKind::Ram, MemoryKind::Rom));
    EXPECT_FALSE(ram->add(at(8 * kMiB + kPage)));  // overlaps
    EXPECT_EQ(ram->read<std::uint32_t>(Gpa{8 * kMiB}), std::nullopt);
    EXPECT_EQ(ram->regions().size(), 1u);
    ram->remove(rom);
    EXPECT_THAT(follower.there, ElementsAre(Gpa{0}));
}

TEST_F(MemoryLayoutTest, OnlyWholePagesAreAdded) {
    ASSERT_TRUE(ram->subscribe(follower));
    const auto refused = [&](const MemoryRegion& region) { return !ram->add(region); };
    auto region = at(8 * kMiB);

    region.range.first = Gpa{8 * kMiB + 512};
    EXPECT_TRUE(refused(region));
    region = at(8 * kMiB);
    region.range.size -= 1;
    EXPECT_TRUE(refused(region));
    region.range.size = 0;
    EXPECT_TRUE(refused(region));
    region = at(8 * kMiB);
    region.host += 512;
    EXPECT_TRUE(refused(region));
    region.host = nullptr;
    EXPECT_TRUE(refused(region));
    region = at(~std::uint64_t{0} - kPage + 1);  // two pages, of which one is above 2^64
    EXPECT_TRUE(refused(region));

    EXPECT_THAT(follower.there, ElementsAre(Gpa{0}));
}

TEST_F(MemoryLayoutTest, RamIsWhatTheMachineWasMadeWith) {
    auto region = at(8 * kMiB);
    region.kind = MemoryKind::Ram;

    EXPECT_FALSE(ram->add(region));
    ASSERT_TRUE(ram->subscribe(follower));
    ram->remove(ram->regions()[0]);

    EXPECT_THAT(follower.there, ElementsAre(Gpa{0}));
}

// Two regions that touch in the guest, and one that does not touch them.
constexpr std::array kThreeRanges{GpaRange{Gpa{0}, kMiB}, GpaRange{Gpa{kMiB}, kMiB},
                                  GpaRange{Gpa{8 * kMiB}, kMiB}};

struct PrivacyTest : MemoryLayoutTest {
    PrivacyTest() { ram = std::move(*GuestRam::create(kThreeRanges, {})); }

    Result<> make(Privacy privacy, std::uint64_t at, std::uint64_t size) {
        return ram->set_privacy({Gpa{at}, size}, privacy);
    }
};

TEST_F(PrivacyTest, ObserverIsToldOfWhatChangesAndOfNothingElse) {
    ASSERT_TRUE(ram->subscribe(follower));

    ASSERT_TRUE(make(Privacy::Private, 0x2000, 0x2000));
    ASSERT_TRUE(make(Privacy::Private, 0x1000, 0x4000));
    ASSERT_TRUE(make(Privacy::Private, 0x2000, 0x2000));
    ASSERT_TRUE(make(Privacy::Shared, 0x0, 0x3000));
    ASSERT_TRUE(make(Privacy::Shared, 0x8000, 0x1000));

    EXPECT_THAT(follower.log, ElementsAre("private gpa 0x2000+0x2000", "private gpa 0x1000+0x1000",
                                          "private gpa 0x4000+0x1000", "shared gpa 0x1000+0x2000"));
    EXPECT_THAT(follower.private_pages(), ElementsAre(0x3000, 0x4000));
}

TEST_F(PrivacyTest, ChangeAcrossRegionsIsToldRegionByRegion) {
    ASSERT_TRUE(ram->subscribe(follower));

    ASSERT_TRUE(make(Privacy::Private, kMiB - kPage, 2 * kPage));

    EXPECT_THAT(follower.log,
                ElementsAre("private gpa 0xff000+0x1000", "private gpa 0x100000+0x1000"));
}

TEST_F(PrivacyTest, LateSubscriberGetsAReplayMergedByRegion) {
    ASSERT_TRUE(make(Privacy::Private, 0x2000, 0x1000));
    ASSERT_TRUE(make(Privacy::Private, 0x3000, 0x1000));
    ASSERT_TRUE(make(Privacy::Private, kMiB - kPage, 2 * kPage));
    ASSERT_TRUE(make(Privacy::Private, 8 * kMiB, kMiB));
    ASSERT_TRUE(make(Privacy::Shared, 8 * kMiB, kPage));
    ASSERT_TRUE(ram->add(at(16 * kMiB)));

    ASSERT_TRUE(ram->subscribe(follower));

    EXPECT_THAT(follower.there, ElementsAre(Gpa{0}, Gpa{kMiB}, Gpa{8 * kMiB}, Gpa{16 * kMiB}));
    EXPECT_THAT(follower.log,
                ElementsAre("private gpa 0x2000+0x2000", "private gpa 0xff000+0x1000",
                            "private gpa 0x100000+0x1000", "private gpa 0x801000+0xff000"));
}

TEST_F(PrivacyTest, OnlyWholePagesOfRamBecomePrivate) {
    ASSERT_TRUE(ram->add(at(4 * kMiB)));
    ASSERT_TRUE(ram->subscribe(follower));

    EXPECT_FALSE(make(Privacy::Private, 0x1200, 0x1000));
    EXPECT_FALSE(make(Privacy::Private, 0x1000, 0x1200));
    EXPECT_FALSE(make(Privacy::Private, 0x1000, 0));
    EXPECT_FALSE(make(Privacy::Private, 4 * kMiB, kPage));              // device memory
    EXPECT_FALSE(make(Privacy::Private, 2 * kMiB - kPage, 2 * kPage));  // half of it is nothing
    EXPECT_FALSE(make(Privacy::Private, ~std::uint64_t{0} - kPage + 1, 2 * kPage));
    EXPECT_FALSE(make(Privacy::Shared, 4 * kMiB, kPage));

    EXPECT_THAT(follower.log, IsEmpty());
}

TEST_F(PrivacyTest, WhatOneObserverCannotFollowIsTakenBackFromAll) {
    Follower other;
    ASSERT_TRUE(ram->subscribe(follower));
    ASSERT_TRUE(ram->subscribe(other));
    ASSERT_TRUE(make(Privacy::Private, 0x2000, 0x1000));
    other.refuses = Gpa{0x3000};

    EXPECT_FALSE(make(Privacy::Private, 0x1000, 0x3000));  // in two parts; the second fails

    EXPECT_THAT(follower.private_pages(), ElementsAre(0x2000));
    EXPECT_THAT(other.private_pages(), ElementsAre(0x2000));
    other.refuses.reset();
    EXPECT_TRUE(make(Privacy::Private, 0x1000, 0x3000));
    EXPECT_THAT(other.private_pages(), ElementsAre(0x1000, 0x2000, 0x3000));
}

TEST_F(PrivacyTest, SharingThatFailsLeavesItPrivate) {
    Follower other;
    ASSERT_TRUE(ram->subscribe(follower));
    ASSERT_TRUE(ram->subscribe(other));
    ASSERT_TRUE(make(Privacy::Private, 0x1000, 0x1000));
    other.refuses = Gpa{0x1000};

    EXPECT_FALSE(make(Privacy::Shared, 0x0, 0x4000));

    EXPECT_THAT(follower.private_pages(), ElementsAre(0x1000));
    EXPECT_THAT(other.private_pages(), ElementsAre(0x1000));
}

TEST_F(PrivacyTest, SubscriberThatCannotFollowIsLeftWithNothing) {
    ASSERT_TRUE(ram->add(at(16 * kMiB)));
    ASSERT_TRUE(make(Privacy::Private, 0x1000, 0x1000));
    ASSERT_TRUE(make(Privacy::Private, 0x4000, 0x1000));
    follower.refuses = Gpa{0x4000};

    EXPECT_FALSE(ram->subscribe(follower));

    EXPECT_THAT(follower.there, IsEmpty());
    EXPECT_THAT(follower.log, ElementsAre("private gpa 0x1000+0x1000", "shared gpa 0x1000+0x1000"));
    EXPECT_TRUE(make(Privacy::Private, 0x8000, 0x1000));
    EXPECT_THAT(follower.log, testing::SizeIs(2));
}

}  // namespace
}  // namespace vmm
