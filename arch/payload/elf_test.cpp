// SPDX-License-Identifier: Apache-2.0
#include "payload/elf.hpp"

#include <elf.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "payload/synthetic_elf.hpp"

namespace vmm {
namespace {

using testing::HasSubstr;

constexpr ElfTarget kArm{.machine = EM_AARCH64, .name = "aarch64", .advice = "Give an Image."};

TEST(ParseElfTest, FileForTheTargetIsTaken) {
    const auto file = test::make_elf({.machine = EM_AARCH64, .entry = 0x100'0010});
    const auto image = parse_elf(file, kArm);

    ASSERT_TRUE(image.has_value()) << image.error().report();
    EXPECT_EQ(image->entry, 0x100'0010U);
    EXPECT_EQ(image->loads.size(), 1U);
}

TEST(ParseElfTest, FileForAnotherMachineIsRefusedByName) {
    const auto image = parse_elf(test::make_elf({.machine = EM_X86_64}), kArm);

    ASSERT_FALSE(image.has_value());
    EXPECT_THAT(image.error().report(),
                HasSubstr("an ELF file for x86-64, not aarch64\n  help: Give an Image.\n"));
}

TEST(ParseElfTest, EveryRefusalHasTheTargetsAdvice) {
    const auto image = parse_elf(test::make_elf({.machine = EM_AARCH64, .segments = {}}), kArm);

    ASSERT_FALSE(image.has_value());
    EXPECT_THAT(image.error().report(), HasSubstr("help: Give an Image.\n"));
}

TEST(ReadNotesTest, NotesThatEndEarlyAreIgnored) {
    KernelNotes notes;
    const std::array<std::uint32_t, 4> cut{4, 0xffff'fff0, 18, 0x006e'6558};

    read_notes(std::as_bytes(std::span{cut}), notes);

    EXPECT_FALSE(notes.pvh_entry.has_value());
}

}  // namespace
}  // namespace vmm
