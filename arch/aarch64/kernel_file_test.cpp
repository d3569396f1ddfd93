// SPDX-License-Identifier: Apache-2.0
#include "aarch64/kernel_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aarch64/synthetic_image.hpp"
#include "vmm/text.hpp"

namespace vmm::aarch64 {
namespace {

using test::make_image;
using test::make_zboot;
using testing::AllOf;
using testing::HasSubstr;
using vmm::test::make_elf;
using vmm::test::MemoryFile;
using vmm::test::pack;

/// What a user would read, or "" if the file was taken.
std::string error_of(std::span<const std::byte> content) {
    const MemoryFile file{content};
    const auto kernel = KernelFile::open(file.path());
    if (kernel)
        return "";
    EXPECT_EQ(kernel.error().kind(), ErrorKind::Config);
    return kernel.error().report();
}

KernelFile open(std::span<const std::byte> content) {
    auto kernel = KernelFile::open(MemoryFile{content}.path());
    if (!kernel)
        throw std::runtime_error(kernel.error().report());
    return *std::move(kernel);
}

TEST(ArmKernelFileTest, ImageTellsWhatItsHeaderSays) {
    const auto file = open(make_image({.text_offset = 0x8'0000, .flags = 4}));

    const auto& image = file.kernel().image;
    ASSERT_TRUE(image);
    EXPECT_EQ(image->text_offset, 0x8'0000u);
    EXPECT_EQ(image->image_size, 0x2'0000u);
    EXPECT_EQ(file.kernel().page_size(), PageSize::KiB16);
    EXPECT_EQ(file.describe(), "arm64 Image, pages of 16 KiB");
}

TEST(ArmKernelFileTest, ImageFromBeforeLinux317GoesWhereItAlwaysDid) {
    const auto file = open(make_image({.text_offset = 0, .image_size = 0}));

    EXPECT_EQ(file.kernel().image->text_offset, 0x8'0000u);
}

TEST(ArmKernelFileTest, EachCompressionIsTaken) {
    for (const auto compression : {Compression::Gzip, Compression::Zstd, Compression::Xz,
                                   Compression::Lz4Legacy, Compression::Lz4Frame}) {
        const auto packed = pack(compression, make_image());
        EXPECT_EQ(open(packed).describe(),
                  cat("arm64 Image, compressed with ", name_of(compression), ", pages of 4 KiB"));
        EXPECT_EQ(open(make_zboot(packed)).describe(),
                  cat("arm64 Image in a zboot image, compressed with ", name_of(compression),
                      ", pages of 4 KiB"));
    }
}

TEST(ArmKernelFileTest, ElfIsTakenPlainAndPacked) {
    const auto elf = make_elf({.machine = test::kElfMachine});

    EXPECT_EQ(open(elf).describe(), "ELF");
    EXPECT_EQ(open(pack(Compression::Gzip, elf)).describe(), "ELF, compressed with gzip");
    EXPECT_EQ(open(elf).kernel().elf.entry, 0x100'0000u);
}

TEST(ArmKernelFileTest, KernelsOfX86AreNamed) {
    auto bzimage = vmm::test::ByteVector(0x400);
    vmm::test::poke(bzimage, 0x202, std::uint32_t{0x5372'6448});

    EXPECT_THAT(error_of(bzimage),
                AllOf(HasSubstr("a bzImage, a kernel for x86, not aarch64"),
                      HasSubstr("help: Give an arm64 kernel: arch/arm64/boot/Image")));
    EXPECT_THAT(error_of(make_elf({})), HasSubstr("an ELF file for x86-64, not aarch64"));
}

TEST(ArmKernelFileTest, BigEndianImageIsRefused) {
    EXPECT_THAT(error_of(make_image({.flags = 3})), HasSubstr("a big-endian arm64 Image"));
}

TEST(ArmKernelFileTest, TextOffsetInTheMiddleOfAPageIsRefused) {
    EXPECT_THAT(error_of(make_image({.text_offset = 0x8'0010})),
                HasSubstr("a text offset of 0x80010, which is no multiple of 4096: damaged"));
}

TEST(ArmKernelFileTest, ImageWithoutItsMagicIsRefused) {
    auto image = make_image();
    vmm::test::poke(image, 56, std::uint32_t{0x5858'5858});

    EXPECT_THAT(error_of(image), HasSubstr("neither an arm64 Linux Image nor ELF"));
}

TEST(ArmKernelFileTest, TruncatedImageIsNoticedByItsSections) {
    EXPECT_THAT(
        error_of(make_image({.file_size = 0x1'0000})),
        HasSubstr("a kernel that is truncated: it should have 98304 bytes and ends after 65536"));
}

// Without an EFI stub nothing in the file says how long it is.
TEST(ArmKernelFileTest, ImageWithoutSectionsIsTakenAsItIs) {
    EXPECT_EQ(error_of(make_image({.file_size = 0x1'0000, .pe_at = 0})), "");
}

TEST(ArmKernelFileTest, SectionsOutsideOfTheHeadAreNotLookedAt) {
    for (const std::uint32_t at : {0x7fff'fff0u, 0xffff'fff0u, 0xffff'ffffu}) {
        auto image = make_image({.pe_at = 0});
        vmm::test::poke(image, 60, at);
        EXPECT_EQ(error_of(image), "");
    }
}

TEST(ArmKernelFileTest, TruncatedZbootImageIsRefused) {
    auto zboot = make_zboot(pack(Compression::Gzip, make_image()));
    zboot.resize(zboot.size() - 8);

    EXPECT_THAT(error_of(zboot), HasSubstr("an EFI zboot image that is truncated"));
}

TEST(ArmKernelFileTest, ZbootImageWithAnUnknownPayloadIsRefused) {
    EXPECT_THAT(error_of(make_zboot(make_image())),
                HasSubstr("an EFI zboot image whose kernel is packed with something unknown"));
}

TEST(ArmKernelFileTest, PackedImageHasToSayItsSize) {
    EXPECT_THAT(error_of(pack(Compression::Zstd, make_image({.image_size = 0}))),
                AllOf(HasSubstr("compressed with zstd; inside: an arm64 Image that does not say "
                                "how large it is"),
                      HasSubstr("Linux 3.17")));
}

TEST(ArmKernelFileTest, OtherFilesAreNamed) {
    const auto text = [](std::string_view content) {
        return error_of(std::as_bytes(std::span{content}));
    };

    EXPECT_THAT(text("#!/bin/sh\n"),
                HasSubstr("a script (#!/bin/sh), neither an arm64 Linux Image nor ELF"));
    // With U+009B a terminal is told something.
    EXPECT_THAT(text("#!/bin/sh\x9b 2J\n"),
                HasSubstr("a script (#!/bin/sh), neither an arm64 Linux Image nor ELF"));
    EXPECT_THAT(text("070701000"), HasSubstr("a cpio archive, not a kernel"));
    EXPECT_THAT(error_of(pack(Compression::Gzip, std::as_bytes(std::span{"hello\n"}))),
                HasSubstr("compressed with gzip; inside"));
}

}  // namespace
}  // namespace vmm::aarch64
