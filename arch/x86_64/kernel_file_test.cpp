// SPDX-License-Identifier: Apache-2.0
#include "x86_64/kernel_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include "x86_64/synthetic_kernel.hpp"

namespace vmm::x86_64 {
namespace {

using test::ByteVector;
using test::MemoryFile;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// What a user would read, or "" if the file was taken.
std::string error_of(const std::string& path) {
    const auto kernel = KernelFile::open(path);
    if (kernel)
        return "";
    EXPECT_EQ(kernel.error().kind(), ErrorKind::Config);
    return kernel.error().report();
}

std::string error_of(std::span<const std::byte> content) {
    return error_of(MemoryFile{content}.path());
}

std::string error_of_text(std::string_view content) {
    return error_of(std::as_bytes(std::span{content}));
}

ByteVector sparse(std::size_t size, std::size_t at, std::string_view magic) {
    ByteVector bytes(size);
    std::memcpy(bytes.data() + at, magic.data(), magic.size());
    return bytes;
}

test::SyntheticBzImage bzimage() {
    return {.payload = test::make_elf({})};
}

// ---- taken ---------------------------------------------------------------------------------

TEST(KernelFileTest, BzImageTellsWhatItsHeaderSays) {
    const MemoryFile file{test::make_bzimage(bzimage())};

    const auto kernel = KernelFile::open(file.path());

    ASSERT_TRUE(kernel.has_value()) << kernel.error().one_line();
    const auto& image = std::get<BzImage>(kernel->content());
    EXPECT_EQ(image.protocol, 0x020f);
    EXPECT_TRUE(image.entry64);
    EXPECT_TRUE(image.relocatable);
    EXPECT_EQ(image.code_offset, 2048U);
    EXPECT_EQ(image.payload_offset, 2048U + 0x400);
    EXPECT_EQ(image.unpacked_size, 0x2000U);
    EXPECT_EQ(image.compression, Compression::Zstd);
    EXPECT_EQ(image.init_size, 0x40'0000U);
    EXPECT_EQ(image.preferred, 0x100'0000U);
    EXPECT_EQ(image.command_line_size, 2047U);
    EXPECT_EQ(image.header_size, 0x26cU - 0x1f1U);
    EXPECT_EQ(kernel->describe(), "bzImage 6.99.0-synthetic, boot protocol 2.15, zstd payload");
}

TEST(KernelFileTest, VersionIsShownAsFarAsNoTerminalActsOnIt) {
    for (const std::string_view odd : {"\x1b[2J", "\x7f",
                                       "\xc2\x9b"
                                       "2J"}) {
        auto image = bzimage();
        image.version = "6.12" + std::string{odd};
        const MemoryFile file{test::make_bzimage(image)};

        const auto kernel = KernelFile::open(file.path());

        ASSERT_TRUE(kernel.has_value()) << kernel.error().one_line();
        EXPECT_EQ(kernel->describe(), "bzImage 6.12, boot protocol 2.15, zstd payload");
    }
}

TEST(KernelFileTest, ElfWithPvhNoteTellsItsEntry) {
    const MemoryFile file{test::make_elf({.pvh_entry = 0x100'0040, .linux_note = true})};

    const auto kernel = KernelFile::open(file.path());

    ASSERT_TRUE(kernel.has_value()) << kernel.error().one_line();
    const auto& elf = std::get<ElfKernel>(kernel->content());
    EXPECT_EQ(elf.notes.pvh_entry, 0x100'0040U);
    EXPECT_TRUE(elf.notes.is_linux);
    EXPECT_EQ(kernel->describe(), "ELF with PVH note");
}

TEST(KernelFileTest, ElfWithoutNoteIsTaken) {
    const auto kernel = KernelFile::open(MemoryFile{test::make_elf({})}.path());

    ASSERT_TRUE(kernel.has_value()) << kernel.error().one_line();
    EXPECT_FALSE(std::get<ElfKernel>(kernel->content()).notes.pvh_entry.has_value());
}

class KernelFilePackedTest : public ::testing::TestWithParam<Compression> {};

TEST_P(KernelFilePackedTest, CompressedElfIsSeenThrough) {
    const ByteVector packed = test::pack(GetParam(), test::make_elf({.entry = 0x100'0123}));

    const auto kernel = KernelFile::open(MemoryFile{packed}.path());

    ASSERT_TRUE(kernel.has_value()) << kernel.error().one_line();
    const auto& elf = std::get<ElfKernel>(kernel->content());
    EXPECT_EQ(elf.compression, GetParam());
    EXPECT_EQ(elf.image.entry, 0x100'0123U);
}

TEST_P(KernelFilePackedTest, CompressedBzImageIsUnpackedAtOnce) {
    const ByteVector original = test::make_bzimage(bzimage());

    const auto kernel = KernelFile::open(MemoryFile{test::pack(GetParam(), original)}.path());

    ASSERT_TRUE(kernel.has_value()) << kernel.error().one_line();
    EXPECT_EQ(std::get<BzImage>(kernel->content()).payload_offset, 2048U + 0x400);
    EXPECT_EQ(kernel->file().size(), original.size());
}

TEST_P(KernelFilePackedTest, CompressedTextIsNamed) {
    const std::string text(2000, 'a');

    EXPECT_THAT(error_of(test::pack(GetParam(), std::as_bytes(std::span{text}))),
                AllOf(HasSubstr("compressed with"), HasSubstr("inside: a text file")));
}

INSTANTIATE_TEST_SUITE_P(All, KernelFilePackedTest,
                         ::testing::Values(Compression::Gzip, Compression::Zstd, Compression::Xz,
                                           Compression::Lz4Legacy, Compression::Lz4Frame));

// ---- what a user can get wrong -----------------------------------------------------------

TEST(KernelFileTest, MissingFileIsNamed) {
    EXPECT_THAT(error_of("/nonexistent/vmlinuz"),
                AllOf(HasSubstr("/nonexistent/vmlinuz"), HasSubstr("No such file")));
}

TEST(KernelFileTest, DirectoryIsNamed) {
    EXPECT_THAT(error_of("/tmp"), HasSubstr("kernel /tmp is a directory"));
}

TEST(KernelFileTest, DeviceIsNamed) {
    EXPECT_THAT(error_of("/dev/null"), HasSubstr("is a device; a regular file is needed"));
}

TEST(KernelFileTest, PipeIsRefusedWithoutWaiting) {
    const std::string path = ::testing::TempDir() + "kernel_file_test.fifo";
    ::unlink(path.c_str());
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);

    EXPECT_THAT(error_of(path), HasSubstr("is a pipe"));

    ::unlink(path.c_str());
}

TEST(KernelFileTest, EmptyFileIsNamed) {
    EXPECT_THAT(error_of_text(""), HasSubstr("is empty"));
}

TEST(KernelFileTest, ScriptIsShown) {
    EXPECT_THAT(error_of_text("#!/bin/sh\necho hello\n"),
                HasSubstr("a script (#!/bin/sh), neither bzImage nor ELF"));
}

TEST(KernelFileTest, TextIsNamed) {
    EXPECT_THAT(error_of_text("hello\n"), HasSubstr("a text file, neither bzImage nor ELF"));
}

TEST(KernelFileTest, RandomBytesAreNeither) {
    ByteVector bytes(4096);
    std::uint32_t state = 7;
    for (auto& byte : bytes)
        byte = static_cast<std::byte>((state = state * 1'664'525 + 1'013'904'223) >> 24);

    EXPECT_THAT(error_of(bytes), AllOf(HasSubstr("neither bzImage nor ELF"),
                                       HasSubstr("help: Give an x86-64 kernel")));
}

TEST(KernelFileTest, ZerosAreNamed) {
    EXPECT_THAT(error_of(ByteVector(5000)), HasSubstr("nothing but zeros"));
}

TEST(KernelFileTest, Arm64ImageIsNamed) {
    EXPECT_THAT(error_of(sparse(4096, 56, "ARM\x64")), HasSubstr("aarch64 (arm64)"));
}

TEST(KernelFileTest, RiscvImageIsNamed) {
    EXPECT_THAT(error_of(sparse(4096, 0x30, "RISCV")), HasSubstr("RISC-V"));
}

TEST(KernelFileTest, PeFileIsNamedWithItsMachine) {
    ByteVector bytes = sparse(8192, 0, "MZ");
    test::poke(bytes, 0x3c, std::uint32_t{128});
    std::memcpy(bytes.data() + 128, "PE\0\0\x64\xaa", 6);

    EXPECT_THAT(error_of(bytes), HasSubstr("a PE/EFI executable for aarch64 (arm64)"));
}

TEST(KernelFileTest, PeHeaderBeyondTheFileIsHarmless) {
    ByteVector bytes = sparse(8192, 0, "MZ");
    test::poke(bytes, 0x3c, std::uint32_t{0xffff'fffe});

    EXPECT_THAT(error_of(bytes), HasSubstr("a DOS or PE/EFI executable"));
}

TEST(KernelFileTest, UnifiedKernelImageIsToldHowToUnpack) {
    ByteVector bytes = sparse(8192, 0, "MZ");
    test::poke(bytes, 0x3c, std::uint32_t{128});
    std::memcpy(bytes.data() + 128, "PE\0\0\x64\x86", 6);
    std::memcpy(bytes.data() + 600, ".linux\0\0", 8);

    EXPECT_THAT(error_of(bytes),
                AllOf(HasSubstr("a unified kernel image"), HasSubstr("--only-section=.linux")));
}

TEST(KernelFileTest, ZbootImageIsNamed) {
    ByteVector bytes = sparse(4096, 0, "MZ");
    std::memcpy(bytes.data() + 4, "zimg", 4);

    EXPECT_THAT(error_of(bytes), HasSubstr("EFI zboot image"));
}

TEST(KernelFileTest, InitramfsInsteadOfKernelIsNamed) {
    EXPECT_THAT(error_of(sparse(4096, 0, "070701")),
                AllOf(HasSubstr("a cpio archive, not a kernel"), HasSubstr("--initramfs")));
}

TEST(KernelFileTest, DiskImageInsteadOfKernelIsNamed) {
    EXPECT_THAT(error_of(sparse(4096, 0, "QFI\xfb")), HasSubstr("a qcow2 disk image"));
}

TEST(KernelFileTest, UnsupportedCompressionIsNamed) {
    EXPECT_THAT(error_of(sparse(4096, 0, "BZh9")),
                HasSubstr("compressed with bzip2, which is not supported"));
}

// ---- ELF files that do not do --------------------------------------------------------------

TEST(KernelFileTest, ElfOfAnotherMachineIsNamed) {
    EXPECT_THAT(error_of(test::make_elf({.machine = 183})),
                HasSubstr("an ELF file for aarch64 (arm64), not x86-64"));
}

TEST(KernelFileTest, ElfOf32BitsIsNamed) {
    EXPECT_THAT(error_of(test::make_elf({.elf_class = 1})), HasSubstr("a 32-bit ELF file"));
    EXPECT_THAT(error_of(test::make_elf({.machine = 3, .elf_class = 1})),
                HasSubstr("32-bit x86, not x86-64"));
}

TEST(KernelFileTest, ObjectFileIsNamed) {
    EXPECT_THAT(error_of(test::make_elf({.type = 1})), HasSubstr("an object file"));
}

TEST(KernelFileTest, ProgramIsNoKernel) {
    EXPECT_THAT(error_of(test::make_elf({.interpreter = true})),
                HasSubstr("an ELF program for an operating system, not a kernel"));
}

TEST(KernelFileTest, ElfWithoutSegmentsIsRefused) {
    EXPECT_THAT(error_of(test::make_elf({.segments = {}})), HasSubstr("nothing to load"));
}

TEST(KernelFileTest, ElfThatEndsInItsHeaderIsTruncated) {
    const ByteVector whole = test::make_elf({});

    EXPECT_THAT(error_of(std::span{whole}.first(10)), HasSubstr("truncated"));
    EXPECT_THAT(error_of(std::span{whole}.first(63)), HasSubstr("truncated"));
    EXPECT_THAT(error_of(std::span{whole}.first(70)), HasSubstr("truncated"));
}

TEST(KernelFileTest, ElfThatEndsInASegmentIsTruncated) {
    const ByteVector whole = test::make_elf({});

    EXPECT_THAT(error_of(std::span{whole}.first(0x1800)),
                HasSubstr("truncated: it should have 8192 bytes and ends after 6144"));
}

TEST(KernelFileTest, ElfWithHugeProgramHeaderOffsetIsRefused) {
    ByteVector bytes = test::make_elf({});
    test::poke(bytes, 32, ~std::uint64_t{0} - 20);

    EXPECT_THAT(error_of(bytes), HasSubstr("truncated"));
}

TEST(KernelFileTest, ElfSegmentThatWrapsIsRefused) {
    ByteVector bytes = test::make_elf({});
    test::poke(bytes, 64 + 24, ~std::uint64_t{0} - 0x10);  // p_paddr

    EXPECT_THAT(error_of(bytes), HasSubstr("lies beyond all memory"));
}

TEST(KernelFileTest, ElfSegmentLargerInFileThanInMemoryIsRefused) {
    EXPECT_THAT(
        error_of(test::make_elf({.segments = {{.file_size = 0x1000, .memory_size = 0x800}}})),
        HasSubstr("larger in the file than in memory"));
}

TEST(KernelFileTest, ElfSegmentsThatOverlapAreNamed) {
    const test::SyntheticElf elf{.segments = {{.physical = 0x100'0000, .memory_size = 0x3000},
                                              {.offset = 0x2000, .physical = 0x100'2000}}};

    EXPECT_THAT(error_of(test::make_elf(elf)),
                HasSubstr("segments at 0x1000000 and 0x1002000 overlap"));
}

// ---- bzImages that do not do ---------------------------------------------------------------

TEST(KernelFileTest, BzImageThatEndsInItsHeaderIsTruncated) {
    const ByteVector whole = test::make_bzimage(bzimage());

    EXPECT_THAT(error_of(std::span{whole}.first(0x220)), HasSubstr("a bzImage that is truncated"));
}

TEST(KernelFileTest, HalfABzImageIsTruncated) {
    const ByteVector whole = test::make_bzimage(bzimage());

    EXPECT_THAT(
        error_of(std::span{whole}.first(whole.size() - 1)),
        AllOf(HasSubstr("truncated: it should have"), HasSubstr("Copy or install the kernel")));
}

TEST(KernelFileTest, OldProtocolIsNamed) {
    auto image = bzimage();
    image.protocol = 0x0204;

    EXPECT_THAT(error_of(test::make_bzimage(image)), HasSubstr("boot protocol 2.4; 2.10 or newer"));
}

TEST(KernelFileTest, ZimageIsNamed) {
    auto image = bzimage();
    image.load_flags = 0;

    EXPECT_THAT(error_of(test::make_bzimage(image)), HasSubstr("a zImage"));
}

TEST(KernelFileTest, OddAlignmentIsRefused) {
    auto image = bzimage();
    image.alignment = 0x30'0000;

    EXPECT_THAT(error_of(test::make_bzimage(image)), HasSubstr("not a power of two"));
}

TEST(KernelFileTest, PreferredAddressNoKernelCanHaveIsRefused) {
    auto image = bzimage();
    image.preferred = 0x7000'0000'0000'0000;

    EXPECT_THAT(error_of(test::make_bzimage(image)),
                HasSubstr("wants to be at 0x7000000000000000"));
}

TEST(KernelFileTest, PayloadOutsideOfTheCodeCountsAsNone) {
    ByteVector bytes = test::make_bzimage(bzimage());
    test::poke(bytes, boot_params::kPayloadLength, std::uint32_t{0xffff'fff0});

    const auto kernel = KernelFile::open(MemoryFile{bytes}.path());

    ASSERT_TRUE(kernel.has_value()) << kernel.error().one_line();
    EXPECT_EQ(std::get<BzImage>(kernel->content()).payload_size, 0U);
}

TEST(KernelFileTest, FileDescriptorIsNotInherited) {
    const auto kernel = KernelFile::open(MemoryFile{test::make_elf({})}.path());

    ASSERT_TRUE(kernel.has_value());
    EXPECT_EQ(::fcntl(kernel->file().fd(), F_GETFD), FD_CLOEXEC);
}

}  // namespace
}  // namespace vmm::x86_64
