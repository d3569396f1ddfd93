// SPDX-License-Identifier: Apache-2.0
#include "payload/unpack.hpp"

#include <lzma.h>
#include <zstd.h>

#include "payload/synthetic_elf.hpp"

namespace vmm {
namespace {

using test::ByteVector;

/// Compresses a little, and no two blocks are alike.
ByteVector sample(std::size_t size) {
    ByteVector bytes(size);
    std::uint32_t state = 1;
    for (std::size_t i = 0; i < size; ++i) {
        state = state * 1'664'525 + 1'013'904'223;
        bytes[i] = static_cast<std::byte>(i % 64 < 40 ? i / 64 : state >> 24);
    }
    return bytes;
}

class UnpackTest : public ::testing::TestWithParam<Compression> {};

TEST_P(UnpackTest, WholeStreamComesBackAsItWas) {
    const ByteVector original = sample(3'000'001);
    const ByteVector packed = test::pack(GetParam(), original);
    ByteVector out(original.size());

    const auto got = unpack(GetParam(), packed, out);

    ASSERT_TRUE(got.has_value()) << got.error().one_line();
    EXPECT_EQ(got->size, 3'000'001U);
    EXPECT_TRUE(out == original);
}

TEST_P(UnpackTest, MoreRoomThanNeededIsSaidToBeLeft) {
    const ByteVector original = sample(100'000);
    const ByteVector packed = test::pack(GetParam(), original);
    ByteVector out(original.size() + 300'000);

    const auto got = unpack(GetParam(), packed, out);

    ASSERT_TRUE(got.has_value()) << got.error().one_line();
    EXPECT_EQ(got->size, 100'000U);
    EXPECT_TRUE(got->finished);
}

TEST_P(UnpackTest, StopsWhereTheRoomEndsAndWritesNothingBehindIt) {
    const ByteVector original = sample(700'000);
    const ByteVector packed = test::pack(GetParam(), original);
    ByteVector out(400'001, std::byte{0x5a});

    const auto got = unpack(GetParam(), packed, std::span{out}.first(400'000));

    ASSERT_TRUE(got.has_value()) << got.error().one_line();
    EXPECT_EQ(got->size, 400'000U);
    EXPECT_FALSE(got->finished);
    EXPECT_EQ(out[400'000], std::byte{0x5a});
    EXPECT_TRUE(std::equal(out.begin(), out.begin() + 400'000, original.begin()));
}

TEST_P(UnpackTest, StopsWhenThereIsEnough) {
    const ByteVector original = sample(3'000'000);
    const ByteVector packed = test::pack(GetParam(), original);
    ByteVector out(600'000 + kUnpackSlack);

    const auto got = unpack(GetParam(), packed, out, 600'000);

    ASSERT_TRUE(got.has_value()) << got.error().one_line();
    EXPECT_GE(got->size, 600'000U);
    EXPECT_FALSE(got->finished);
    EXPECT_TRUE(std::equal(out.begin(), out.begin() + 600'000, original.begin()));
}

TEST_P(UnpackTest, WhatFollowsTheStreamIsIgnored) {
    const ByteVector original = sample(400'000);
    ByteVector packed = test::pack(GetParam(), original);
    packed.resize(packed.size() + 100'000, std::byte{0xa5});
    ByteVector out(original.size() + 2 * kUnpackSlack);

    const auto got = unpack(GetParam(), packed, out);

    if (GetParam() == Compression::Lz4Legacy) {  // has no end mark: it ends with the file
        ASSERT_FALSE(got.has_value());
        EXPECT_EQ(got.error().one_line(), "the LZ4 data is damaged (block too long)");
        return;
    }
    ASSERT_TRUE(got.has_value()) << got.error().one_line();
    EXPECT_EQ(got->size, 400'000U);
    EXPECT_TRUE(got->finished);
    EXPECT_TRUE(std::equal(original.begin(), original.end(), out.begin()));
}

TEST_P(UnpackTest, FirstBytesAloneCanBeHad) {
    const ByteVector original = sample(700'000);
    const ByteVector packed = test::pack(GetParam(), original);
    ByteVector out(64);

    const auto got = unpack(GetParam(), packed, out);

    ASSERT_TRUE(got.has_value()) << got.error().one_line();
    EXPECT_EQ(got->size, 64U);
    EXPECT_TRUE(std::equal(out.begin(), out.end(), original.begin()));
}

TEST_P(UnpackTest, HalfAStreamIsCalledTruncated) {
    const ByteVector original = sample(700'000);
    const ByteVector packed = test::pack(GetParam(), original);
    ByteVector out(original.size());

    const auto got = unpack(GetParam(), std::span{packed}.first(packed.size() / 2), out);

    ASSERT_FALSE(got.has_value());
    EXPECT_THAT(got.error().one_line(), ::testing::HasSubstr("data ends before its end"));
    EXPECT_EQ(got.error().kind(), ErrorKind::Config);
}

TEST_P(UnpackTest, OtherBytesThanTheMagicNumberAreRefused) {
    ByteVector packed = test::pack(GetParam(), sample(1000));
    packed[0] = std::byte{0xee};
    ByteVector out(1000);

    const auto got = unpack(GetParam(), packed, out);

    ASSERT_FALSE(got.has_value());
    EXPECT_THAT(got.error().one_line(), ::testing::HasSubstr("magic number is missing"));
}

TEST_P(UnpackTest, MagicNumberAloneIsTruncated) {
    const ByteVector packed = test::pack(GetParam(), sample(1000));
    ByteVector out(1000);

    const auto got = unpack(GetParam(), std::span{packed}.first(6), out);

    ASSERT_FALSE(got.has_value());
    EXPECT_EQ(got.error().kind(), ErrorKind::Config);
}

TEST_P(UnpackTest, DetectedByItsFirstBytes) {
    EXPECT_EQ(detect_compression(test::pack(GetParam(), sample(1000))), GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, UnpackTest,
                         ::testing::Values(Compression::Gzip, Compression::Zstd, Compression::Xz,
                                           Compression::Lz4Legacy, Compression::Lz4Frame));

TEST(UnpackGzipTest, NameExtraFieldAndHeaderChecksumAreSkipped) {
    const ByteVector plain = test::pack(Compression::Gzip, sample(1000));
    ByteVector packed(plain.begin(), plain.begin() + 10);
    packed[3] = std::byte{2 | 4 | 8};
    for (const char byte : std::string_view{"\x03\0abcname\0\x12\x34", 12})
        packed.push_back(static_cast<std::byte>(byte));
    packed.insert(packed.end(), plain.begin() + 10, plain.end());
    ByteVector out(1000);

    const auto got = unpack(Compression::Gzip, packed, out);

    ASSERT_TRUE(got.has_value()) << got.error().one_line();
    EXPECT_TRUE(out == sample(1000));
}

TEST(UnpackGzipTest, HeaderWithoutEndIsTruncated) {
    ByteVector packed(12, std::byte{1});
    packed[0] = std::byte{0x1f};
    packed[1] = std::byte{0x8b};
    packed[2] = std::byte{8};
    packed[3] = std::byte{8};  // a name that does not end
    ByteVector out(10);

    const auto got = unpack(Compression::Gzip, packed, out);

    ASSERT_FALSE(got.has_value());
    EXPECT_THAT(got.error().one_line(), ::testing::HasSubstr("truncated"));
}

TEST(UnpackLz4Test, SeveralBlocksOfEightMebibytes) {
    const ByteVector original = sample((std::size_t{17} << 20) + 5);
    const ByteVector packed = test::pack(Compression::Lz4Legacy, original);
    ByteVector out(original.size());

    const auto got = unpack(Compression::Lz4Legacy, packed, out);

    ASSERT_TRUE(got.has_value()) << got.error().one_line();
    EXPECT_TRUE(out == original);
}

TEST(UnpackGzipTest, UnknownMethodIsDamage) {
    ByteVector packed = test::pack(Compression::Gzip, sample(1000));
    packed[2] = std::byte{7};
    ByteVector out(1000);

    const auto got = unpack(Compression::Gzip, packed, out);

    ASSERT_FALSE(got.has_value());
    EXPECT_EQ(got.error().one_line(), "the gzip data is damaged (unknown compression method)");
}

TEST(UnpackXzTest, DictionaryOfAGibibyteIsRefused) {
    lzma_options_lzma options{};
    ASSERT_FALSE(lzma_lzma_preset(&options, 6));
    options.dict_size = std::uint32_t{1} << 30;
    std::array<lzma_filter, 2> filters{lzma_filter{LZMA_FILTER_LZMA2, &options},
                                       lzma_filter{LZMA_VLI_UNKNOWN, nullptr}};
    const lzma_stream_flags flags{.version = 0, .check = LZMA_CHECK_CRC32};
    lzma_block block{};
    block.check = LZMA_CHECK_CRC32;
    block.compressed_size = LZMA_VLI_UNKNOWN;
    block.uncompressed_size = LZMA_VLI_UNKNOWN;
    block.filters = filters.data();
    ASSERT_EQ(lzma_block_header_size(&block), LZMA_OK);
    ByteVector packed(LZMA_STREAM_HEADER_SIZE + block.header_size + 100);
    auto* const bytes = reinterpret_cast<std::uint8_t*>(packed.data());
    ASSERT_EQ(lzma_stream_header_encode(&flags, bytes), LZMA_OK);
    ASSERT_EQ(lzma_block_header_encode(&block, bytes + LZMA_STREAM_HEADER_SIZE), LZMA_OK);
    ByteVector out(1000);

    const auto got = unpack(Compression::Xz, packed, out);

    ASSERT_FALSE(got.has_value());
    EXPECT_EQ(got.error().one_line(),
              "the xz data is damaged (it needs more than 512 MiB to unpack)");
}

TEST(UnpackLz4Test, EmptyBlockIsDamage) {
    ByteVector packed = test::pack(Compression::Lz4Legacy, sample(1000));
    packed.resize(packed.size() + 4);  // a length of zero
    ByteVector out(2000);

    const auto got = unpack(Compression::Lz4Legacy, packed, out);

    ASSERT_FALSE(got.has_value());
    EXPECT_EQ(got.error().one_line(), "the LZ4 data is damaged (corrupt block)");
}

/// As `zstd < kernel` makes it, and Linux's build: the frame does not say how much is in it.
ByteVector pack_zstd_stream(std::span<const std::byte> bytes) {
    ByteVector packed(ZSTD_compressBound(bytes.size()));
    const std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context{ZSTD_createCCtx(),
                                                                          ZSTD_freeCCtx};
    ZSTD_outBuffer out{packed.data(), packed.size(), 0};
    for (std::size_t at = 0; at < bytes.size(); at += 100'000) {
        const auto part = bytes.subspan(at, std::min<std::size_t>(100'000, bytes.size() - at));
        ZSTD_inBuffer in{part.data(), part.size(), 0};
        const bool last = at + part.size() == bytes.size();
        ZSTD_compressStream2(context.get(), &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
    }
    packed.resize(out.pos);
    return packed;
}

TEST(UnpackZstdTest, FrameOfUnknownSizeComesBackAsItWas) {
    const ByteVector original = sample(3'000'001);
    const ByteVector packed = pack_zstd_stream(original);
    ASSERT_EQ(ZSTD_getFrameContentSize(packed.data(), packed.size()), ZSTD_CONTENTSIZE_UNKNOWN);
    for (const std::size_t room : {original.size(), original.size() + 2 * kUnpackSlack}) {
        ByteVector out(room);

        const auto got = unpack(Compression::Zstd, packed, out);

        ASSERT_TRUE(got.has_value()) << got.error().one_line();
        EXPECT_EQ(got->size, 3'000'001U);
        EXPECT_TRUE(std::equal(original.begin(), original.end(), out.begin()));
    }
}

TEST(UnpackZstdTest, WindowOfAGibibyteIsRefused) {
    ByteVector packed(100);
    constexpr std::array<std::uint8_t, 6> kHeader{0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3};
    std::ranges::copy(std::as_bytes(std::span{kHeader}), packed.begin());
    for (const std::size_t room : {std::size_t{1000}, std::size_t{1} << 20}) {
        ByteVector out(room);

        const auto got = unpack(Compression::Zstd, packed, out);

        ASSERT_FALSE(got.has_value());
        EXPECT_EQ(got.error().one_line(),
                  "the zstd data is damaged (it needs a window of more than 128 MiB to unpack)");
    }
}

// Memory behind what is unpacked is scratch memory to the decoder, and a block of zeros is one
// byte of the stream.
TEST(UnpackZstdTest, ZerosAfterBlocksFullOfLiteralsAreZeros) {
    constexpr std::size_t kBlock = 128 << 10;
    ByteVector original(24 * kBlock);
    std::uint32_t state = 1;
    for (std::size_t i = 0; i < original.size(); ++i) {
        state = state * 1'664'525 + 1'013'904'223;
        // Literals that Huffman's code makes shorter, in one to four blocks; then zeros.
        if (i / kBlock % 6 < 1 + i / kBlock / 6)
            original[i] = static_cast<std::byte>(state >> 26);
    }
    const ByteVector packed = test::pack(Compression::Zstd, original);
    ByteVector out(original.size() + 5 * kBlock);

    const auto got = unpack(Compression::Zstd, packed, out);

    ASSERT_TRUE(got.has_value()) << got.error().one_line();
    EXPECT_EQ(got->size, original.size());
    EXPECT_TRUE(std::equal(original.begin(), original.end(), out.begin()));
}

TEST(UnpackZstdTest, DamagedBlockIsAnError) {
    ByteVector packed = test::pack(Compression::Zstd, sample(700'000));
    std::fill(packed.begin() + 12, packed.begin() + 60, std::byte{0xff});
    ByteVector out(700'000);

    const auto got = unpack(Compression::Zstd, packed, out);

    ASSERT_FALSE(got.has_value());
    EXPECT_THAT(got.error().one_line(), ::testing::HasSubstr("zstd data is damaged"));
}

TEST(DetectCompressionTest, NothingAndLittleAreNone) {
    EXPECT_EQ(detect_compression({}), Compression::None);
    EXPECT_EQ(detect_compression(std::as_bytes(std::span{"\x28"})), Compression::None);
}

}  // namespace
}  // namespace vmm
