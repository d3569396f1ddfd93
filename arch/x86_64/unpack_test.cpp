#include "x86_64/unpack.hpp"

#include "x86_64/synthetic_kernel.hpp"

namespace vmm::x86_64 {
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

// The decoder uses memory behind a block for its own ends, and blocks of zeros are not written.
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
}  // namespace vmm::x86_64
