// SPDX-License-Identifier: Apache-2.0
#include "x86_64/loader.hpp"

#include "support/flat_guest_memory.hpp"
#include "x86_64/layout.hpp"
#include "x86_64/loader_test_support.hpp"

namespace vmm::x86_64 {
namespace {

using test::ByteVector;
using test::error_of;
using test::kRam;
using test::MemoryFile;
using test::open_kernel;
using ::testing::AllOf;
using ::testing::HasSubstr;
using vmm::test::FlatGuestMemory;

BootFile open_initramfs(std::string_view content) {
    auto file = BootFile::open(MemoryFile{content}.path(), "initramfs");
    if (!file)
        throw std::runtime_error(file.error().report());
    return *std::move(file);
}

/// Segments nearer together in memory than in the file, as in Linux, and one with a tail of zeros.
test::SyntheticElf linux_elf() {
    return {.entry = 0x100'0040,
            .segments = {{.offset = 0x20'0000,
                          .physical = 0x100'0000,
                          .file_size = 0x18'0000,
                          .memory_size = 0x18'0000,
                          .fill = 'A'},
                         {.offset = 0x40'0000,
                          .physical = 0x120'0000,
                          .file_size = 0x1000,
                          .memory_size = 0x1000,
                          .fill = 'B'},
                         {.offset = 0x60'0000,
                          .physical = 0x120'1000,
                          .file_size = 0x8000,
                          .memory_size = 0x3f'f000,
                          .fill = 'C'}},
            .section_table = true};
}

test::SyntheticBzImage linux_bzimage(Compression compression = Compression::Zstd) {
    return {
        .init_size = 0x80'0000, .compression = compression, .payload = test::make_elf(linux_elf())};
}

/// Every byte where the ELF wants it, the zeros included.
void expect_linux_elf_at_its_place(const FlatGuestMemory& memory) {
    EXPECT_EQ(memory.text(Gpa{0x100'0000}, 18), "ABCDEFGHIJKLMNOPAA");
    EXPECT_EQ(memory.text(Gpa{0x117'fffe}, 2), "AA");
    EXPECT_EQ(memory.text(Gpa{0x120'0000}, 18), "BCDEFGHIJKLMNOPQBB");
    EXPECT_EQ(memory.text(Gpa{0x120'0fff}, 2), "BC");
    EXPECT_EQ(memory.text(Gpa{0x120'1000}, 18), "CDEFGHIJKLMNOPQRCC");
    EXPECT_EQ(memory.text(Gpa{0x120'8fff}, 1), "C");
    EXPECT_EQ(memory.text(Gpa{0x120'9000}, 0x3f'7000), std::string(0x3f'7000, '\0'));
}

// ---- PVH -----------------------------------------------------------------------------------

test::SyntheticElf pvh_elf() {
    return {.segments = {{.offset = 0x1000,
                          .physical = 0x10'0000,
                          .file_size = 0x800,
                          .memory_size = 0x2000,
                          .fill = 'P'}},
            .pvh_entry = 0x10'0010};
}

TEST(LoaderPvhTest, RegistersAreThoseOfTheProtocol) {
    FlatGuestMemory memory{kRam};
    const auto kernel = open_kernel(test::make_elf(pvh_elf()));

    const auto entry = load(kernel, {.ram_size = kRam}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(entry->registers.rip, 0x10'0010U);
    EXPECT_EQ(entry->registers.rbx, 0x1030U);
    EXPECT_EQ(entry->registers.rflags, 2U);
    EXPECT_EQ(entry->system.cr0, 0x11U);  // PE, ET
    EXPECT_EQ(entry->system.cr4, 0U);
    EXPECT_EQ(entry->system.efer, 0U);
    EXPECT_EQ(entry->system.cs.base, 0U);
    EXPECT_EQ(entry->system.cs.limit, 0xffff'ffffU);
    EXPECT_EQ(entry->system.cs.type, 0xb);
    EXPECT_TRUE(entry->system.cs.db);
    EXPECT_FALSE(entry->system.cs.l);
    EXPECT_EQ(entry->system.ds.type, 3);
    EXPECT_EQ(entry->system.ss.limit, 0xffff'ffffU);
    EXPECT_EQ(entry->system.tr.limit, 0x67U);
    EXPECT_EQ(entry->system.tr.type, 0xb);
    EXPECT_FALSE(entry->system.ldt.present);
    EXPECT_EQ(memory.text(Gpa{0x10'0000}, 4), "PQRS");
}

TEST(LoaderPvhTest, StartInfoLeadsToEverything) {
    FlatGuestMemory memory{kRam};
    const auto kernel = open_kernel(test::make_elf(pvh_elf()));
    const std::vector<BootFile> initramfs = [] {
        std::vector<BootFile> files;
        files.push_back(open_initramfs("archive!"));
        return files;
    }();

    const auto entry = load(
        kernel,
        {.ram_size = kRam, .initramfs = initramfs, .command_line = "hello there", .rsdp = kRsdp},
        memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    const Gpa info{entry->registers.rbx};
    const auto field32 = [&](std::uint64_t at) {
        return memory.read<std::uint32_t>(Gpa{info.value() + at}).value();
    };
    const auto field64 = [&](std::uint64_t at) {
        return memory.read<std::uint64_t>(Gpa{info.value() + at}).value();
    };
    EXPECT_EQ(field32(0), 0x336e'c578U);
    EXPECT_EQ(field32(4), 1U);
    EXPECT_EQ(field32(8), 0U);
    EXPECT_EQ(field32(12), 1U);
    const auto module = memory.read<std::array<std::uint64_t, 4>>(Gpa{field64(16)}).value();
    EXPECT_EQ(module, (std::array<std::uint64_t, 4>{0x7ff'f000, 8, 0, 0}));
    EXPECT_EQ(memory.text(Gpa{0x7ff'f000}, 8), "archive!");
    EXPECT_EQ(memory.text(Gpa{field64(24)}, 12), std::string("hello there\0", 12));
    EXPECT_EQ(field64(32), 0xe'0000U);
    EXPECT_EQ(field32(48), 5U);
    struct MapEntry {
        std::uint64_t at, size;
        std::uint32_t type, reserved;
    };
    const auto map = memory.read<std::array<MapEntry, 5>>(Gpa{field64(40)}).value();
    EXPECT_EQ(map[0].size, 0xa'0000U);
    EXPECT_EQ(map[0].type, 1U);
    EXPECT_EQ(map[1].at, 0xe'0000U);
    EXPECT_EQ(map[1].type, 3U);
    EXPECT_EQ(map[2].at, 0x10'0000U);
    EXPECT_EQ(map[2].size, kRam - kMiB);
    EXPECT_EQ(map[3].at, 0xe000'0000U);
    EXPECT_EQ(map[3].type, 2U);
}

TEST(LoaderPvhTest, NothingIsAddedToTheCommandLineOfOthersThanLinux) {
    FlatGuestMemory memory{kRam};
    const auto kernel = open_kernel(test::make_elf(pvh_elf()));

    const auto entry = load(kernel, {.ram_size = kRam, .command_line = "a=b"}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(entry->command_line, "a=b");
}

TEST(LoaderPvhTest, TouchesFewPages) {
    FlatGuestMemory memory{kRam};
    const auto kernel = open_kernel(test::make_elf(pvh_elf()));

    const auto entry = load(kernel, {.ram_size = kRam}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(memory.text(Gpa{0}, 0x1000), std::string(0x1000, '\0'));
    EXPECT_EQ(memory.text(Gpa{0x2000}, 0xf'e000), std::string(0xf'e000, '\0'));
}

TEST(LoaderPvhTest, EntryOutsideOfAllSegmentsIsRefused) {
    FlatGuestMemory memory{kRam};
    auto elf = pvh_elf();
    elf.pvh_entry = 0x50'0000;

    EXPECT_THAT(error_of(load(open_kernel(test::make_elf(elf)), {.ram_size = kRam}, memory)),
                HasSubstr("entry point gpa 0x500000 is in none of its segments"));
}

TEST(LoaderPvhTest, SegmentOverBootDataNamesBoth) {
    FlatGuestMemory memory{kRam};
    auto elf = pvh_elf();
    elf.segments[0].physical = 0x8000;

    EXPECT_THAT(
        error_of(load(open_kernel(test::make_elf(elf)), {.ram_size = kRam}, memory)),
        HasSubstr("kernel segment (0x8000 to 0xa000) overlaps boot data (0x1000 to 0x20000)"));
}

TEST(LoaderPvhTest, SegmentOverReservedRangeNamesBoth) {
    FlatGuestMemory memory{kRam};
    const std::array reserved{NamedRange{{Gpa{0x10'1000}, 0x1000}, "snapshot area"}};

    EXPECT_THAT(error_of(load(open_kernel(test::make_elf(pvh_elf())),
                              {.ram_size = kRam, .reserved = reserved}, memory)),
                AllOf(HasSubstr("kernel segment"), HasSubstr("overlaps snapshot area")));
}

TEST(LoaderPvhTest, SegmentBeyondMemorySaysHowMuchThereIs) {
    FlatGuestMemory memory{kRam};
    auto elf = pvh_elf();
    elf.segments[0].physical = 0x1000'0000;

    EXPECT_THAT(error_of(load(open_kernel(test::make_elf(elf)), {.ram_size = kRam}, memory)),
                AllOf(HasSubstr("does not fit in memory of 128 MiB"), HasSubstr("--memory")));
}

class LoaderPackedTest : public ::testing::TestWithParam<Compression> {};

TEST_P(LoaderPackedTest, CompressedPvhElfIsPlacedAndEnteredByItsNote) {
    FlatGuestMemory memory{kRam};
    auto elf = linux_elf();
    elf.pvh_entry = 0x100'0020;
    const auto kernel = open_kernel(test::pack(GetParam(), test::make_elf(elf)));

    const auto entry = load(kernel, {.ram_size = kRam}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(entry->registers.rip, 0x100'0020U);
    EXPECT_EQ(entry->system.cr0, 0x11U);
    expect_linux_elf_at_its_place(memory);
}

TEST_P(LoaderPackedTest, PayloadOfABzImageIsPlaced) {
    FlatGuestMemory memory{kRam};
    const auto kernel = open_kernel(test::make_bzimage(linux_bzimage(GetParam())));

    const auto entry = load(kernel, {.ram_size = kRam, .unpack = PayloadUnpack::On}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(entry->registers.rip, 0x100'0040U);
    expect_linux_elf_at_its_place(memory);
}

INSTANTIATE_TEST_SUITE_P(All, LoaderPackedTest,
                         ::testing::Values(Compression::Gzip, Compression::Zstd, Compression::Xz,
                                           Compression::Lz4Legacy, Compression::Lz4Frame));

TEST(LoaderPackedTest, TruncatedStreamIsAnErrorThatSaysSo) {
    FlatGuestMemory memory{kRam};
    ByteVector packed = test::pack(Compression::Lz4Legacy, test::make_elf(linux_elf()));
    packed.resize(packed.size() - 100);
    // The first block is cut: even the headers cannot be had.
    const auto kernel = KernelFile::open(MemoryFile{packed}.path());

    ASSERT_FALSE(kernel.has_value());
    EXPECT_THAT(kernel.error().report(), HasSubstr("truncated"));
}

TEST(LoaderPackedTest, StreamThatUnpacksToLessThanItsHeadersSayIsTruncated) {
    FlatGuestMemory memory{kRam};
    const ByteVector elf = test::make_elf(linux_elf());
    const ByteVector packed =
        test::pack(Compression::Zstd, std::span{elf}.first(elf.size() - 0x4000));
    const auto kernel = open_kernel(packed);

    EXPECT_THAT(error_of(load(kernel, {.ram_size = kRam}, memory)), HasSubstr("truncated"));
}

TEST(LoaderPackedTest, SegmentsInAnotherOrderThanInTheFileAreUnpackedAside) {
    FlatGuestMemory memory{kRam};
    const test::SyntheticElf elf{
        .entry = 0x100'0000,
        .segments = {
            {.offset = 0x1000, .physical = 0x200'0000, .fill = 'X'},
            {.offset = 0x2000, .physical = 0x100'0000, .memory_size = 0x3000, .fill = 'Y'}}};
    const auto kernel = open_kernel(test::pack(Compression::Zstd, test::make_elf(elf)));

    const auto entry = load(kernel, {.ram_size = kRam}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(memory.text(Gpa{0x200'0000}, 3), "XYZ");
    EXPECT_EQ(memory.text(Gpa{0x100'0000}, 3), "YZ[");
    EXPECT_EQ(memory.text(Gpa{0x100'1000}, 0x2000), std::string(0x2000, '\0'));
}

TEST(LoaderPackedTest, UnpackingNeverWritesOverReservedRanges) {
    FlatGuestMemory memory{kRam};
    // Between two segments, where the file as a whole would be unpacked.
    const std::array reserved{NamedRange{{Gpa{0x119'0000}, 0x1000}, "something"}};
    ASSERT_TRUE(memory.write(Gpa{0x119'0000}, std::uint32_t{0x6770'6565}));
    const auto kernel = open_kernel(test::make_bzimage(linux_bzimage()));

    const auto entry =
        load(kernel, {.ram_size = kRam, .unpack = PayloadUnpack::On, .reserved = reserved}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(memory.read<std::uint32_t>(Gpa{0x119'0000}), 0x6770'6565U);
    expect_linux_elf_at_its_place(memory);
}

}  // namespace
}  // namespace vmm::x86_64
