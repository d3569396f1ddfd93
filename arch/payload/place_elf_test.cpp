// SPDX-License-Identifier: Apache-2.0
// Packed ELF files into RAM, and what a relocator gets to see. How whole kernels are placed is
// tested with the loader of an architecture.
#include "payload/place_elf.hpp"

#include <elf.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "payload/synthetic_elf.hpp"
#include "support/flat_guest_memory.hpp"

namespace vmm {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kRam = std::uint64_t{32} << 20;
constexpr Gpa kScratch{std::uint64_t{1} << 20};
constexpr ElfTarget kTarget{.machine = EM_X86_64, .name = "x86-64", .advice = "None."};
constexpr std::array kRamRanges{GpaRange{Gpa{0}, kRam}};
constexpr std::array kAppended{std::byte{1}, std::byte{2}, std::byte{3}};

/// Notes what it gets and overwrites the first byte of the kernel.
struct RecordingRelocator final : ElfRelocator {
    mutable std::vector<std::byte> appended;
    mutable std::uint64_t physical = 0;
    bool damaged = false;

    Result<bool> relocate(std::span<const std::byte> lists, std::span<std::byte> image,
                          std::uint64_t at) const override {
        if (damaged)
            return std::unexpected(Error{ErrorKind::Config, "damaged"});
        appended.assign(lists.begin(), lists.end());
        physical = at;
        image[0] = std::byte{'!'};
        return true;
    }
};

struct PlacePackedTest : testing::Test {
    test::FlatGuestMemory memory{kRam};
    RecordingRelocator relocator;

    Result<PlacedPacked> place(const ElfRelocator* with) {
        auto file = test::make_elf({.section_table = true});
        const std::uint64_t end = file.size();
        file.insert(file.end(), kAppended.begin(), kAppended.end());
        const auto bytes = test::pack(Compression::Gzip, file);
        const PackedElf packed{Compression::Gzip, bytes, file.size()};
        const auto image = VMM_TRY(peek_elf(packed, kTarget));
        EXPECT_EQ(image.sections_end, end);
        Placement placement{kRamRanges};
        VMM_TRY(take_segments(image, placement));
        return place_packed({packed, image, placement, kScratch, with}, memory);
    }
    char first_byte() { return memory.read<char>(Gpa{0x100'0000}).value_or(0); }
};

TEST_F(PlacePackedTest, RelocatorSeesWhatFollowsTheElfFileAndTheKernelInItsPlace) {
    const auto placed = place(&relocator);

    ASSERT_TRUE(placed.has_value()) << placed.error().report();
    EXPECT_TRUE(placed->relocated);
    EXPECT_THAT(relocator.appended, testing::ElementsAreArray(kAppended));
    EXPECT_EQ(relocator.physical, 0x100'0000U);
    EXPECT_EQ(first_byte(), '!');
}

TEST_F(PlacePackedTest, WithoutRelocatorTheKernelStaysAsItIs) {
    const auto placed = place(nullptr);

    ASSERT_TRUE(placed.has_value()) << placed.error().report();
    EXPECT_FALSE(placed->relocated);
    EXPECT_EQ(first_byte(), 'K');
}

TEST_F(PlacePackedTest, ErrorOfTheRelocatorEndsTheLoad) {
    relocator.damaged = true;
    const auto placed = place(&relocator);

    ASSERT_FALSE(placed.has_value());
    EXPECT_THAT(placed.error().report(), HasSubstr("damaged"));
}

}  // namespace
}  // namespace vmm
