// SPDX-License-Identifier: Apache-2.0
#include "aarch64/loader.hpp"

#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "aarch64/layout.hpp"
#include "aarch64/synthetic_image.hpp"
#include "support/flat_guest_memory.hpp"

namespace vmm::aarch64 {
namespace {

using test::make_image;
using testing::AllOf;
using testing::HasSubstr;
using vmm::test::FlatGuestMemory;
using vmm::test::make_elf;
using vmm::test::MemoryFile;
using vmm::test::pack;

constexpr GpaRange kRamOfTest{Gpa{0}, 64 * kMiB};

struct ArmLoaderTest : testing::Test {
    Result<Entry> load(std::span<const std::byte> kernel, GpaRange ram = kRamOfTest) {
        const auto file = VMM_TRY(KernelFile::open(MemoryFile{kernel}.path()));
        return aarch64::load(file,
                             {.ram = ram,
                              .initramfs = initramfs,
                              .make_tree =
                                  [this](GpaRange at) {
                                      told = at;
                                      return std::vector<std::byte>(tree_size, std::byte{'T'});
                                  }},
                             memory);
    }
    std::string error_of(std::span<const std::byte> kernel, GpaRange ram = kRamOfTest) {
        const auto entry = load(kernel, ram);
        return entry ? "" : entry.error().report();
    }
    void add_initramfs(std::string_view content) {
        initramfs.push_back(BootFile::open(MemoryFile{content}.path(), "initramfs").value());
    }

    FlatGuestMemory memory{kRamOfTest.size};
    std::vector<BootFile> initramfs;
    std::size_t tree_size = 100;
    GpaRange told;
};

TEST_F(ArmLoaderTest, ImageLiesAtItsOffsetAndTheTreeAfterIt) {
    const auto entry = load(make_image({.text_offset = 0x8'0000}));

    ASSERT_TRUE(entry) << entry.error().report();
    EXPECT_EQ(entry->cpu.pc, Gpa{0x8'0000});
    EXPECT_EQ(entry->cpu.x0, 2 * kMiB);
    EXPECT_EQ(memory.text(Gpa{0x8'1000}, 4), "KKKK");
    EXPECT_EQ(memory.text(Gpa{2 * kMiB}, 4), "TTTT");
    EXPECT_EQ(told.size, 0u);
}

TEST_F(ArmLoaderTest, PackedImageIsUnpackedToItsPlaceAndNothingIsLeftBehindIt) {
    for (const auto compression : {Compression::Gzip, Compression::Zstd, Compression::Lz4Frame}) {
        ASSERT_TRUE(load(pack(compression, make_image()))) << name_of(compression);
        EXPECT_EQ(memory.text(Gpa{0x1'7ffc}, 4), "KKKK");
        for (std::uint64_t at = 0x1'8000; at < 0x8'0000; at += 8)
            ASSERT_EQ(memory.read<std::uint64_t>(Gpa{at}), 0u) << at;
        std::memset(memory.host(Gpa{0}), 0, kMiB);
    }
}

TEST_F(ArmLoaderTest, ArchivesFollowTheKernelAndOneAnother) {
    add_initramfs("one");
    add_initramfs("second");

    ASSERT_TRUE(load(make_image()));

    EXPECT_EQ(told.first, Gpa{0x2'0000});
    EXPECT_EQ(told.size, 10u);
    EXPECT_EQ(memory.text(Gpa{0x2'0000}, 3), "one");
    EXPECT_EQ(memory.text(Gpa{0x2'0004}, 6), "second");
}

TEST_F(ArmLoaderTest, ElfGoesWhereItSays) {
    const auto entry = load(make_elf({.machine = test::kElfMachine}));

    ASSERT_TRUE(entry) << entry.error().report();
    EXPECT_EQ(entry->cpu.pc, Gpa{0x100'0000});
    EXPECT_EQ(entry->cpu.x0, 0x120'0000u);
    EXPECT_EQ(memory.text(Gpa{0x100'0010}, 4), "KKKK");
}

TEST_F(ArmLoaderTest, ElfOutsideOfRamIsRefused) {
    EXPECT_THAT(
        error_of(make_elf({.machine = test::kElfMachine, .segments = {{.physical = 1 * kGiB}}})),
        HasSubstr("does not fit in memory of 64 MiB"));
}

TEST_F(ArmLoaderTest, EntryOutsideOfTheElfFileIsRefused) {
    EXPECT_THAT(error_of(make_elf({.machine = test::kElfMachine, .entry = 0x200'0000})),
                HasSubstr("is in none of its segments"));
}

TEST_F(ArmLoaderTest, ImageLargerThanRamIsRefused) {
    EXPECT_THAT(error_of(make_image({.image_size = std::uint64_t{1} << 40})),
                AllOf(HasSubstr("the kernel needs 1 TiB of memory from an offset of 0x0 on, the "
                                "guest has 64 MiB"),
                      HasSubstr("--memory")));
    EXPECT_THAT(error_of(make_image({.text_offset = 64 * kMiB})), HasSubstr("0x4000000 on"));
    EXPECT_THAT(error_of(make_image({.text_offset = ~std::uint64_t{0xfff}})),
                HasSubstr("the guest has 64 MiB"));
    EXPECT_THAT(error_of(make_image({.image_size = ~std::uint64_t{0}})),
                HasSubstr("the guest has 64 MiB"));
}

TEST_F(ArmLoaderTest, PackedImageLargerThanItSaysIsRefused) {
    EXPECT_THAT(error_of(pack(Compression::Gzip, make_image({.image_size = 0x1'0000}))),
                HasSubstr("it unpacks to more than the 64 KiB that its header names"));
}

TEST_F(ArmLoaderTest, TruncatedStreamIsRefused) {
    auto packed = pack(Compression::Gzip, make_image());
    packed.resize(packed.size() / 2);

    EXPECT_THAT(error_of(packed), HasSubstr("ends"));
}

TEST_F(ArmLoaderTest, InitramfsWithoutRoomIsRefused) {
    add_initramfs(std::string(2 * kMiB, 'a'));

    EXPECT_THAT(error_of(make_image(), {Gpa{0}, 2 * kMiB}),
                AllOf(HasSubstr("(2 MiB) does not fit in memory of 2 MiB beside the kernel"),
                      HasSubstr("a smaller initramfs")));
}

TEST_F(ArmLoaderTest, TreeWithoutRoomIsRefused) {
    EXPECT_THAT(error_of(make_image(), {Gpa{0}, 2 * kMiB}),
                HasSubstr("the device tree (100 bytes) does not fit in memory of 2 MiB"));
}

TEST_F(ArmLoaderTest, KernelThatWasShortenedSinceItWasOpenedIsAnError) {
    const MemoryFile file{pack(Compression::Gzip, make_image())};
    const auto kernel = KernelFile::open(file.path()).value();
    ASSERT_EQ(::ftruncate(file.fd(), 10), 0);

    const auto entry =
        aarch64::load(kernel,
                      {.ram = kRamOfTest,
                       .initramfs = {},
                       .make_tree = [](GpaRange) { return std::vector<std::byte>{}; }},
                      memory);

    ASSERT_FALSE(entry);
    EXPECT_THAT(entry.error().report(), HasSubstr("truncated, or changed since it was opened"));
}

TEST(ArmLayoutTest, WindowForBarsLiesAboveRamAndWithinTheAddressSpace) {
    constexpr auto kSmall = high_map(512 * kMiB, 1, 40);
    EXPECT_EQ(kSmall.redistributors.size, 0u);
    EXPECT_EQ(kSmall.pci_memory64.first, Gpa{4 * kGiB});
    EXPECT_EQ(end_of(kSmall.pci_memory64), std::uint64_t{1} << 40);

    constexpr auto kLarge = high_map(6 * kGiB, 200, 48);
    EXPECT_EQ(kLarge.redistributors.first, Gpa{7 * kGiB});
    EXPECT_EQ(kLarge.redistributors.size, 77 * kRedistributor);
    EXPECT_EQ(kLarge.pci_memory64.first, Gpa{8 * kGiB});
    EXPECT_EQ(kLarge.pci_memory64.size, 1024 * kGiB);

    EXPECT_EQ(high_map(7 * kGiB, 1, 33).pci_memory64.size, 0u) << "there is no room";
}

}  // namespace
}  // namespace vmm::aarch64
