// SPDX-License-Identifier: Apache-2.0
#include "support/flat_guest_memory.hpp"
#include "x86_64/layout.hpp"
#include "x86_64/loader.hpp"
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

constexpr std::uint64_t kZeroPage = 0x1000;

struct FixedEntropy final : EntropySource {
    std::uint64_t value;
    explicit FixedEntropy(std::uint64_t number) : value{number} {}
    void fill(std::span<std::byte> out) noexcept override {
        std::memcpy(out.data(), &value, std::min(out.size(), sizeof value));
    }
};

std::vector<BootFile> open_initramfs(std::initializer_list<std::string_view> contents) {
    std::vector<BootFile> files;
    for (const std::string_view content : contents)
        files.push_back(BootFile::open(MemoryFile{content}.path(), "initramfs").value());
    return files;
}

template <class T>
T zero_page(const FlatGuestMemory& memory, std::uint64_t offset) {
    return memory.read<T>(Gpa{kZeroPage + offset}).value();
}

test::SyntheticBzImage tiny_bzimage() {
    return {.payload = test::make_elf({.entry = 0x100'0080})};
}

// A reset maps the kernel again; what lies past the end of a mapped file is SIGBUS.
TEST(LoaderLinuxTest, KernelThatWasShortenedSinceItWasOpenedIsAnError) {
    FlatGuestMemory memory{kRam};
    const MemoryFile file{test::make_bzimage(tiny_bzimage())};
    const auto kernel = KernelFile::open(file.path()).value();
    ASSERT_EQ(::ftruncate(file.fd(), 1000), 0);

    EXPECT_THAT(
        error_of(load(kernel, {.ram_size = kRam, .unpack = PayloadUnpack::On}, memory)),
        HasSubstr(file.path() + " ends at byte 1000: truncated, or changed since it was opened"));
}

// ---- plain bzImage -------------------------------------------------------------------------

TEST(LoaderLinuxTest, PlainImageLiesAtItsPreferredAddress) {
    FlatGuestMemory memory{kRam};
    const auto kernel = open_kernel(test::make_bzimage(tiny_bzimage()));

    const auto entry = load(kernel, {.ram_size = kRam, .unpack = PayloadUnpack::Off}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(memory.text(Gpa{0x100'0000}, 3), "\xcc\xcc\xcc");
    EXPECT_EQ(memory.text(Gpa{0x100'0400}, 4), "\x28\xb5\x2f\xfd");
    EXPECT_EQ(entry->registers.rip, 0x100'0200U);
    EXPECT_THAT(entry->how, HasSubstr("unpacks itself, 64-bit boot protocol"));
}

TEST(LoaderLinuxTest, RegistersOf64BitEntryAreThoseOfTheProtocol) {
    FlatGuestMemory memory{kRam};
    const auto kernel = open_kernel(test::make_bzimage(tiny_bzimage()));

    const auto entry = load(kernel, {.ram_size = kRam, .unpack = PayloadUnpack::Off}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(entry->registers.rsi, kZeroPage);
    EXPECT_EQ(entry->registers.rflags, 2U);
    EXPECT_EQ(entry->system.cr0, 0x8000'0011U);  // PG, PE, ET
    EXPECT_EQ(entry->system.cr4, 0x20U);         // PAE
    EXPECT_EQ(entry->system.efer, 0x500U);       // LMA, LME
    EXPECT_EQ(entry->system.cs.selector, 0x10);
    EXPECT_TRUE(entry->system.cs.l);
    EXPECT_FALSE(entry->system.cs.db);
    EXPECT_EQ(entry->system.ds.selector, 0x18);
    EXPECT_EQ(entry->system.es.selector, 0x18);
    EXPECT_EQ(entry->system.ss.selector, 0x18);
    EXPECT_EQ(entry->system.gdt.base, 0x2000U);
    EXPECT_EQ(entry->system.gdt.limit, 47);
    EXPECT_EQ(memory.read<std::uint64_t>(Gpa{0x2010}), 0x00af'9b00'0000'ffffU);
    EXPECT_EQ(memory.read<std::uint64_t>(Gpa{0x2018}), 0x00cf'9300'0000'ffffU);
}

TEST(LoaderLinuxTest, PageTablesMapTheFirstFourGibibytes) {
    FlatGuestMemory memory{kRam};
    const auto kernel = open_kernel(test::make_bzimage(tiny_bzimage()));

    const auto entry = load(kernel, {.ram_size = kRam, .unpack = PayloadUnpack::Off}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(entry->system.cr3, 0x3000U);
    EXPECT_EQ(memory.read<std::uint64_t>(Gpa{0x3000}), 0x4003U);
    EXPECT_EQ(memory.read<std::uint64_t>(Gpa{0x3008}), 0U);
    EXPECT_EQ(memory.read<std::uint64_t>(Gpa{0x4000}), 0x5003U);
    EXPECT_EQ(memory.read<std::uint64_t>(Gpa{0x4018}), 0x8003U);
    EXPECT_EQ(memory.read<std::uint64_t>(Gpa{0x4020}), 0U);
    EXPECT_EQ(memory.read<std::uint64_t>(Gpa{0x5000}), 0x83U);
    EXPECT_EQ(memory.read<std::uint64_t>(Gpa{0x5008}), 0x20'0083U);
    EXPECT_EQ(memory.read<std::uint64_t>(Gpa{0x8ff8}), 0xffe0'0083U);
}

TEST(LoaderLinuxTest, ZeroPageHoldsTheHeaderAndWhatWeAddToIt) {
    FlatGuestMemory memory{kRam};
    const auto kernel = open_kernel(test::make_bzimage(tiny_bzimage()));
    const auto initramfs = open_initramfs({"first", "second"});

    const auto entry = load(
        kernel, {.ram_size = kRam, .initramfs = initramfs, .command_line = "quiet", .rsdp = kRsdp},
        memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(zero_page<std::uint16_t>(memory, 0x1fe), 0xaa55);
    EXPECT_EQ(zero_page<std::uint32_t>(memory, 0x202), 0x5372'6448U);
    EXPECT_EQ(zero_page<std::uint16_t>(memory, 0x206), 0x20f);
    EXPECT_EQ(zero_page<std::uint8_t>(memory, 0x1ef), 0);  // sentinel
    EXPECT_EQ(zero_page<std::uint8_t>(memory, 0x210), 0xff);
    EXPECT_EQ(zero_page<std::uint8_t>(memory, 0x211), 0x01);
    EXPECT_EQ(zero_page<std::uint32_t>(memory, 0x214), 0x100'0000U);
    EXPECT_EQ(zero_page<std::uint32_t>(memory, 0x218), 0x7ff'f000U);
    EXPECT_EQ(zero_page<std::uint32_t>(memory, 0x21c), 14U);
    EXPECT_EQ(zero_page<std::uint64_t>(memory, 0x70), 0xe'0000U);
    EXPECT_EQ(zero_page<std::uint32_t>(memory, 0xc0), 0U);
    EXPECT_EQ(zero_page<std::uint32_t>(memory, 0x260), 0x40'0000U);
    const Gpa command_line{zero_page<std::uint32_t>(memory, 0x228)};
    EXPECT_EQ(memory.text(command_line, 6), std::string("quiet\0", 6));
    EXPECT_EQ(entry->command_line, "quiet");
}

TEST(LoaderLinuxTest, E820TellsRamOnBothSidesOfTheHole) {
    constexpr std::uint64_t kSize = 5 * kGiB;
    FlatGuestMemory memory{GpaRange{Gpa{0}, 3 * kGiB}, GpaRange{Gpa{4 * kGiB}, 2 * kGiB}};
    const auto kernel = open_kernel(test::make_bzimage(tiny_bzimage()));

    const auto entry = load(kernel, {.ram_size = kSize}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    ASSERT_EQ(zero_page<std::uint8_t>(memory, 0x1e8), 6);
    const auto at = [&](std::uint64_t i) {
        return zero_page<std::uint64_t>(memory, 0x2d0 + i * 20);
    };
    const auto size = [&](std::uint64_t i) {
        return zero_page<std::uint64_t>(memory, 0x2d8 + i * 20);
    };
    const auto type = [&](std::uint64_t i) {
        return zero_page<std::uint32_t>(memory, 0x2e0 + i * 20);
    };
    EXPECT_EQ(at(0), 0U);
    EXPECT_EQ(size(0), 0xa'0000U);
    EXPECT_EQ(at(1), 0xe'0000U);
    EXPECT_EQ(size(1), 0x2'0000U);
    EXPECT_EQ(type(1), 3U);
    EXPECT_EQ(at(2), 0x10'0000U);
    EXPECT_EQ(size(2), 0xbff0'0000U);
    EXPECT_EQ(type(2), 1U);
    EXPECT_EQ(at(3), 0xe000'0000U);
    EXPECT_EQ(size(3), 0x1000'0000U);
    EXPECT_EQ(type(3), 2U);
    EXPECT_EQ(at(4), 0xfffb'c000U);
    EXPECT_EQ(type(4), 2U);
    EXPECT_EQ(at(5), 0x1'0000'0000U);
    EXPECT_EQ(size(5), 0x8000'0000U);
    EXPECT_EQ(type(5), 1U);
}

TEST(LoaderLinuxTest, KernelWithout64BitEntryStartsIn32BitMode) {
    FlatGuestMemory memory{kRam};
    auto image = tiny_bzimage();
    image.xload_flags = 0;

    const auto entry = load(open_kernel(test::make_bzimage(image)), {.ram_size = kRam}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(entry->registers.rip, 0x100'0000U);
    EXPECT_EQ(entry->registers.rsi, kZeroPage);
    EXPECT_EQ(entry->registers.rbp, 0U);
    EXPECT_EQ(entry->registers.rdi, 0U);
    EXPECT_EQ(entry->registers.rbx, 0U);
    EXPECT_EQ(entry->system.cr0, 0x11U);
    EXPECT_EQ(entry->system.cs.selector, 0x10);
    EXPECT_TRUE(entry->system.cs.db);
    EXPECT_EQ(memory.read<std::uint64_t>(Gpa{0x2010}), 0x00cf'9b00'0000'ffffU);
}

TEST(LoaderLinuxTest, RelocatableKernelGoesLowerWhenItsPlaceIsTaken) {
    FlatGuestMemory memory{kRam};
    const std::array reserved{NamedRange{{Gpa{0x110'0000}, 0x1000}, "something"}};
    const auto kernel = open_kernel(test::make_bzimage(tiny_bzimage()));

    const auto entry = load(
        kernel, {.ram_size = kRam, .unpack = PayloadUnpack::Off, .reserved = reserved}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(entry->registers.rip, 0x20'0200U);
}

TEST(LoaderLinuxTest, KernelThatDoesNotFitSaysWhatItNeeds) {
    FlatGuestMemory memory{16 * kMiB};
    auto image = tiny_bzimage();
    image.init_size = 0x380'0000;

    EXPECT_THAT(
        error_of(load(open_kernel(test::make_bzimage(image)), {.ram_size = 16 * kMiB}, memory)),
        AllOf(HasSubstr("the kernel needs 56 MiB"), HasSubstr("memory of 16 MiB"),
              HasSubstr("--memory")));
}

TEST(LoaderLinuxTest, TinyMemoryIsRefused) {
    FlatGuestMemory memory{kMiB};

    EXPECT_THAT(
        error_of(load(open_kernel(test::make_bzimage(tiny_bzimage())), {.ram_size = 1024}, memory)),
        HasSubstr("memory of 1 KiB is too small"));
}

// ---- unpacked ------------------------------------------------------------------------------

TEST(LoaderLinuxTest, UnpackedPayloadIsEnteredAtTheElfEntryWithTheSameZeroPage) {
    FlatGuestMemory memory{kRam};
    const auto kernel = open_kernel(test::make_bzimage(tiny_bzimage()));

    const auto entry = load(kernel, {.ram_size = kRam}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(entry->registers.rip, 0x100'0080U);
    EXPECT_EQ(entry->registers.rsi, kZeroPage);
    EXPECT_EQ(entry->system.efer, 0x500U);
    EXPECT_EQ(zero_page<std::uint16_t>(memory, 0x206), 0x20f);
    EXPECT_EQ(memory.text(Gpa{0x100'0000}, 3), "KLM");
    EXPECT_EQ(
        entry->how,
        "bzImage 6.99.0-synthetic, boot protocol 2.15, zstd payload; unpacked here, 64-bit boot "
        "protocol, no KASLR, entry at gpa 0x1000080");
}

TEST(LoaderLinuxTest, DamagedPayloadFallsBackToThePlainWay) {
    FlatGuestMemory memory{kRam};
    ByteVector bytes = test::make_bzimage(tiny_bzimage());
    std::fill_n(bytes.begin() + 2048 + 0x400 + 10, 20, std::byte{0xff});

    const auto entry = load(open_kernel(bytes), {.ram_size = kRam}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(entry->registers.rip, 0x100'0200U);
}

TEST(LoaderLinuxTest, DamagedPayloadIsAnErrorWhenUnpackingWasAskedFor) {
    FlatGuestMemory memory{kRam};
    ByteVector bytes = test::make_bzimage(tiny_bzimage());
    std::fill_n(bytes.begin() + 2048 + 0x400 + 10, 20, std::byte{0xff});

    EXPECT_THAT(
        error_of(load(open_kernel(bytes), {.ram_size = kRam, .unpack = PayloadUnpack::On}, memory)),
        HasSubstr("zstd data is damaged"));
}

TEST(LoaderLinuxTest, UnknownPayloadIsAnErrorOnlyWhenUnpackingWasAskedFor) {
    FlatGuestMemory memory{kRam};
    auto image = tiny_bzimage();
    image.compression = Compression::None;
    const auto kernel = open_kernel(test::make_bzimage(image));

    EXPECT_TRUE(load(kernel, {.ram_size = kRam}, memory).has_value());
    EXPECT_THAT(error_of(load(kernel, {.ram_size = kRam, .unpack = PayloadUnpack::On}, memory)),
                HasSubstr("payload cannot be unpacked here"));
}

TEST(LoaderLinuxTest, LoadingAgainGivesTheSameMemory) {
    const auto kernel = open_kernel(test::make_bzimage(tiny_bzimage()));
    FlatGuestMemory first{kRam};
    FlatGuestMemory second{kRam};

    const auto one = load(kernel, {.ram_size = kRam}, first);
    const auto two = load(kernel, {.ram_size = kRam}, second);

    ASSERT_TRUE(one.has_value() && two.has_value());
    EXPECT_TRUE(std::memcmp(first.host(Gpa{0}), second.host(Gpa{0}), 32 * kMiB) == 0);
}

// ---- KASLR ---------------------------------------------------------------------------------

/// A kernel with one pointer of each kind in its first page.
test::SyntheticBzImage relocatable_bzimage() {
    auto image = tiny_bzimage();
    image.payload = test::make_elf({.entry = 0x100'0080, .section_table = true});
    test::poke(image.payload, 0x1000 + 0x100, std::uint64_t{0xffff'ffff'8100'0200});
    test::poke(image.payload, 0x1000 + 0x110, std::uint32_t{0x8100'0300});
    test::poke(image.payload, 0x1000 + 0x120, std::uint32_t{0x7eff'0000});
    const ByteVector table = test::relocation_table({0x8100'0100}, {0x8100'0120}, {0x8100'0110});
    image.payload.insert(image.payload.end(), table.begin(), table.end());
    return image;
}

TEST(LoaderKaslrTest, PointersMoveByTheRandomDistance) {
    FlatGuestMemory memory{kRam};
    FixedEntropy entropy{5};
    const auto kernel = open_kernel(test::make_bzimage(relocatable_bzimage()));

    const auto entry = load(kernel, {.ram_size = kRam, .kaslr = true, .entropy = &entropy}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(memory.read<std::uint64_t>(Gpa{0x100'0100}), 0xffff'ffff'81a0'0200U);
    EXPECT_EQ(memory.read<std::uint32_t>(Gpa{0x100'0110}), 0x81a0'0300U);
    EXPECT_EQ(memory.read<std::uint32_t>(Gpa{0x100'0120}), 0x7e5f'0000U);
    EXPECT_EQ(zero_page<std::uint8_t>(memory, 0x211), 0x03);  // KASLR_FLAG
    EXPECT_EQ(entry->registers.rip, 0x100'0080U);
    EXPECT_THAT(entry->how, HasSubstr("virtual KASLR"));
}

TEST(LoaderKaslrTest, NokaslrIsObeyed) {
    FlatGuestMemory memory{kRam};
    FixedEntropy entropy{5};
    const auto kernel = open_kernel(test::make_bzimage(relocatable_bzimage()));

    const auto entry = load(
        kernel,
        {.ram_size = kRam, .command_line = "quiet nokaslr", .kaslr = true, .entropy = &entropy},
        memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(memory.read<std::uint64_t>(Gpa{0x100'0100}), 0xffff'ffff'8100'0200U);
    EXPECT_EQ(zero_page<std::uint8_t>(memory, 0x211), 0x01);
}

TEST(LoaderKaslrTest, PlaceOutsideOfTheKernelFallsBackToThePlainWay) {
    FlatGuestMemory memory{kRam};
    FixedEntropy entropy{5};
    auto image = tiny_bzimage();
    image.payload = test::make_elf({.section_table = true});
    const ByteVector table = test::relocation_table({0x8100'0ffc}, {}, {0x8100'0110});
    image.payload.insert(image.payload.end(), table.begin(), table.end());

    const auto entry = load(open_kernel(test::make_bzimage(image)),
                            {.ram_size = kRam, .kaslr = true, .entropy = &entropy}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(entry->registers.rip, 0x100'0200U);
    EXPECT_EQ(zero_page<std::uint8_t>(memory, 0x211), 0x01);
}

// ---- plain ELF -----------------------------------------------------------------------------

TEST(LoaderLinuxTest, ElfWithoutNoteGetsAZeroPageOfOurs) {
    FlatGuestMemory memory{kRam};
    const auto kernel = open_kernel(test::make_elf({.entry = 0x100'0010}));

    const auto entry = load(kernel, {.ram_size = kRam}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(entry->registers.rip, 0x100'0010U);
    EXPECT_EQ(entry->registers.rsi, kZeroPage);
    EXPECT_EQ(entry->system.efer, 0x500U);
    EXPECT_EQ(zero_page<std::uint32_t>(memory, 0x202), 0x5372'6448U);
    EXPECT_EQ(zero_page<std::uint8_t>(memory, 0x210), 0xff);
}

// ---- initramfs -----------------------------------------------------------------------------

TEST(LoaderInitramfsTest, FilesFollowEachOtherAtMultiplesOfFour) {
    FlatGuestMemory memory{kRam};
    const auto initramfs = open_initramfs({"12345", "abc", "xy"});
    const auto kernel = open_kernel(test::make_bzimage(tiny_bzimage()));

    const auto entry = load(kernel, {.ram_size = kRam, .initramfs = initramfs}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(memory.text(Gpa{0x7ff'f000}, 14), std::string("12345\0\0\0abc\0xy", 14));
    EXPECT_EQ(zero_page<std::uint32_t>(memory, 0x21c), 14U);
}

TEST(LoaderInitramfsTest, StaysBelowTheLimitOfTheKernel) {
    FlatGuestMemory memory{kRam};
    const auto initramfs = open_initramfs({"12345"});
    auto image = tiny_bzimage();
    image.initrd_address_max = 0x37f'ffff;

    const auto entry = load(open_kernel(test::make_bzimage(image)),
                            {.ram_size = kRam, .initramfs = initramfs}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(zero_page<std::uint32_t>(memory, 0x218), 0x37f'f000U);
}

TEST(LoaderInitramfsTest, KeepsAwayFromTheMemoryThatThePlainKernelNeeds) {
    FlatGuestMemory memory{24 * kMiB};
    const auto initramfs = open_initramfs({"12345"});
    auto image = tiny_bzimage();
    image.init_size = 0x80'0000;  // up to the end of memory

    const auto entry =
        load(open_kernel(test::make_bzimage(image)),
             {.ram_size = 24 * kMiB, .initramfs = initramfs, .unpack = PayloadUnpack::Off}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(zero_page<std::uint32_t>(memory, 0x218), 0xff'f000U);
}

TEST(LoaderInitramfsTest, OneThatIsTooLargeSaysHowLargeAndWhatToDo) {
    FlatGuestMemory memory{kRam};
    const MemoryFile large{"x"};
    ASSERT_EQ(::ftruncate(large.fd(), 512 << 20), 0);
    std::vector<BootFile> initramfs;
    initramfs.push_back(BootFile::open(large.path(), "initramfs").value());
    const auto kernel = open_kernel(test::make_bzimage(tiny_bzimage()));

    EXPECT_THAT(
        error_of(load(kernel, {.ram_size = kRam, .initramfs = initramfs}, memory)),
        AllOf(HasSubstr("initramfs " + large.path()),
              HasSubstr("(512 MiB) does not fit in memory of 128 MiB"), HasSubstr("--memory")));
}

/// A sparse file.
std::vector<BootFile> initramfs_of(const MemoryFile& file, std::uint64_t size) {
    if (::ftruncate(file.fd(), static_cast<off_t>(size)) != 0)
        throw std::runtime_error("ftruncate");
    std::vector<BootFile> files;
    files.push_back(BootFile::open(file.path(), "initramfs").value());
    return files;
}

constexpr std::uint64_t kLargeRam = 8 * kGiB;

/// RAM of kLargeRam, of which nothing above 1 GiB can be written to: it is only looked at where an
/// initramfs goes, and 3 GiB of zeros are not copied.
std::string error_with_initramfs(const ByteVector& kernel, std::uint64_t size) {
    FlatGuestMemory memory{GpaRange{Gpa{0}, kGiB}};
    const MemoryFile file{"x"};
    const auto initramfs = initramfs_of(file, size);
    return error_of(
        load(open_kernel(kernel), {.ram_size = kLargeRam, .initramfs = initramfs}, memory));
}

TEST(LoaderInitramfsTest, Of3GibibytesLiesAbove4GibibytesWhereTheKernelAllowsIt) {
    test::SyntheticBzImage image = tiny_bzimage();
    image.xload_flags = 0x0003;  // XLF_KERNEL_64, XLF_CAN_BE_LOADED_ABOVE_4G

    EXPECT_THAT(error_with_initramfs(test::make_bzimage(image), 3 * kGiB),
                HasSubstr("no memory for 3221225472 bytes at gpa 0x180000000"));
    // An ELF kernel is entered by the same protocol.
    EXPECT_THAT(error_with_initramfs(test::make_elf({.entry = 0x100'0010}), 3 * kGiB),
                HasSubstr("no memory for 3221225472 bytes at gpa 0x180000000"));
}

TEST(LoaderInitramfsTest, KernelWithALimitIsNotToldToGiveMoreMemory) {
    const auto error = error_with_initramfs(test::make_bzimage(tiny_bzimage()), 3 * kGiB);

    EXPECT_THAT(error, HasSubstr("(3 GiB) does not fit below 2 GiB, where this kernel has to find "
                                 "it\n  help: Give a smaller initramfs, or a 64-bit bzImage of "
                                 "Linux 3.8 or newer, which takes one of any size."));
    EXPECT_THAT(error, ::testing::Not(HasSubstr("--memory")));
}

TEST(LoaderInitramfsTest, LimitOfPvhIsTheRamBelow4Gibibytes) {
    const auto pvh = test::make_elf({.entry = 0x100'0010, .pvh_entry = 0x100'0010});

    EXPECT_THAT(error_with_initramfs(pvh, 2 * kGiB + 512 * kMiB),
                HasSubstr("no memory for 2684354560 bytes at gpa 0x20000000"));
    EXPECT_THAT(error_with_initramfs(pvh, 3 * kGiB),
                HasSubstr("does not fit below 3 GiB, where this kernel has to find it"));
}

TEST(LoaderInitramfsTest, AddressAbove4GibibytesIsInBothHalvesOfTheZeroPage) {
    FlatGuestMemory memory{ram_ranges(kLargeRam).low(), *(ram_ranges(kLargeRam).begin() + 1)};
    const MemoryFile file{"x"};
    const auto initramfs = initramfs_of(file, 16 * kMiB);  // fits nowhere below
    test::SyntheticBzImage image = tiny_bzimage();
    image.xload_flags = 0x0003;
    const auto low = static_cast<std::uint32_t>(ram_ranges(kLargeRam).low().size);
    const NamedRange rest{{Gpa{0x200'0000}, low - 0x200'0000}, "taken"};

    const auto entry = load(
        open_kernel(test::make_bzimage(image)),
        {.ram_size = kLargeRam, .initramfs = initramfs, .reserved = std::span{&rest, 1}}, memory);

    ASSERT_TRUE(entry.has_value()) << entry.error().report();
    EXPECT_EQ(zero_page<std::uint32_t>(memory, 0x218), 0x3f00'0000U);
    EXPECT_EQ(zero_page<std::uint32_t>(memory, 0xc0), 2U);
    EXPECT_EQ(zero_page<std::uint32_t>(memory, 0x21c), 0x100'0000U);
    EXPECT_EQ(memory.text(Gpa{0x2'3f00'0000}, 1), "x");
}

TEST(LoaderInitramfsTest, FileThatShrankSinceItWasOpenedIsAnError) {
    FlatGuestMemory memory{kRam};
    const MemoryFile file{"0123456789"};
    std::vector<BootFile> initramfs;
    initramfs.push_back(BootFile::open(file.path(), "initramfs").value());
    ASSERT_EQ(::ftruncate(file.fd(), 4), 0);
    const auto kernel = open_kernel(test::make_bzimage(tiny_bzimage()));

    EXPECT_THAT(error_of(load(kernel, {.ram_size = kRam, .initramfs = initramfs}, memory)),
                HasSubstr("ends at byte 4"));
}

TEST(LoaderInitramfsTest, MissingFileIsNamed) {
    const auto file = BootFile::open("/nonexistent/root.cpio", "initramfs");

    ASSERT_FALSE(file.has_value());
    EXPECT_EQ(file.error().kind(), ErrorKind::Config);
    EXPECT_THAT(file.error().report(),
                AllOf(HasSubstr("initramfs /nonexistent/root.cpio"), HasSubstr("No such file")));
}

// ---- command line --------------------------------------------------------------------------

TEST(LoaderCommandLineTest, OneTooLongSaysTheLimitOfThisKernel) {
    FlatGuestMemory memory{kRam};
    const std::string longest(2048, 'x');
    const auto kernel = open_kernel(test::make_bzimage(tiny_bzimage()));

    EXPECT_THAT(error_of(load(kernel, {.ram_size = kRam, .command_line = longest}, memory)),
                AllOf(HasSubstr("the command line has 2048 characters; this kernel takes 2047"),
                      HasSubstr("--cmd-line")));
}

TEST(LoaderCommandLineTest, LongestOneIsTaken) {
    FlatGuestMemory memory{kRam};
    const std::string longest(2047, 'x');
    const auto kernel = open_kernel(test::make_bzimage(tiny_bzimage()));

    EXPECT_TRUE(load(kernel, {.ram_size = kRam, .command_line = longest}, memory));
}

TEST(LoaderCommandLineTest, OneTooLongForAnyKernelIsRefused) {
    FlatGuestMemory memory{kRam};
    const std::string longest(70'000, 'x');
    const auto kernel = open_kernel(test::make_elf({.pvh_entry = 0x100'0000}));

    EXPECT_THAT(error_of(load(kernel, {.ram_size = kRam, .command_line = longest}, memory)),
                HasSubstr("the command line has 70000 characters; this kernel takes 65535"));
}

TEST(LoaderCommandLineTest, ZeroByteIsRefused) {
    FlatGuestMemory memory{kRam};
    const std::string_view text{"a\0b", 3};
    const auto kernel = open_kernel(test::make_bzimage(tiny_bzimage()));

    EXPECT_THAT(error_of(load(kernel, {.ram_size = kRam, .command_line = text}, memory)),
                HasSubstr("the command line has a zero byte"));
}

}  // namespace
}  // namespace vmm::x86_64
