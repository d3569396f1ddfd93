// SPDX-License-Identifier: Apache-2.0
#include "memory/page_ranges.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bitset>
#include <random>

namespace vmm {

/// For gmock.
static bool operator==(const GpaRange& a, const GpaRange& b) {
    return a.first == b.first && a.size == b.size;
}

namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kPageSize = 4096;

/// By page numbers.
GpaRange pages(std::uint64_t first, std::uint64_t count) {
    return {Gpa{first * kPageSize}, count * kPageSize};
}

TEST(PageRangesTest, StretchesThatTouchOrOverlapBecomeOne) {
    PageRanges ranges;
    ranges.add(pages(4, 2));
    ranges.add(pages(8, 2));
    ranges.add(pages(6, 2));
    ranges.add(pages(9, 4));

    EXPECT_THAT(ranges.within(pages(0, 100)), ElementsAre(pages(4, 9)));
}

TEST(PageRangesTest, MiddleThatIsRemovedLeavesBothEnds) {
    PageRanges ranges;
    ranges.add(pages(4, 6));

    ranges.remove(pages(6, 1));

    EXPECT_THAT(ranges.within(pages(0, 100)), ElementsAre(pages(4, 2), pages(7, 3)));
}

TEST(PageRangesTest, PartsAreCutToWhatWasAskedFor) {
    PageRanges ranges;
    ranges.add(pages(4, 4));
    ranges.add(pages(10, 4));

    EXPECT_THAT(ranges.within(pages(6, 6)), ElementsAre(pages(6, 2), pages(10, 2)));
    EXPECT_THAT(ranges.missing(pages(6, 6)), ElementsAre(pages(8, 2)));
    EXPECT_THAT(ranges.missing(pages(0, 20)), ElementsAre(pages(0, 4), pages(8, 2), pages(14, 6)));
    EXPECT_THAT(ranges.within(pages(8, 2)), IsEmpty());
    EXPECT_THAT(ranges.missing(pages(4, 4)), IsEmpty());
}

/// Against one bit for each page.
TEST(PageRangesTest, AnyOrderOfChangesGivesWhatAModelGives) {
    constexpr std::size_t kPages = 40;
    std::mt19937 random{1};
    const auto below = [&](std::size_t limit) { return random() % limit; };
    for (int round = 0; round < 200; ++round) {
        PageRanges ranges;
        std::bitset<kPages> model;
        for (int change = 0; change < 30; ++change) {
            const auto first = below(kPages);
            const auto count = 1 + below(kPages - first);
            const bool add = below(2) == 0;
            for (auto page = first; page < first + count; ++page)
                model[page] = add;
            add ? ranges.add(pages(first, count)) : ranges.remove(pages(first, count));
        }
        std::bitset<kPages> in;
        std::bitset<kPages> out;
        std::uint64_t last_end = 0;
        for (const auto part : ranges.within(pages(0, kPages))) {
            EXPECT_TRUE(part.first.value() > last_end || last_end == 0)
                << "ascending, not touching";
            last_end = end_of(part);
            for (auto at = part.first.value(); at < last_end; at += kPageSize)
                in.set(at / kPageSize);
        }
        for (const auto part : ranges.missing(pages(0, kPages)))
            for (auto at = part.first.value(); at < end_of(part); at += kPageSize)
                out.set(at / kPageSize);
        ASSERT_EQ(in, model) << "round " << round;
        ASSERT_EQ(out, ~model) << "round " << round;
    }
}

}  // namespace
}  // namespace vmm
