#include "x86_64/zstd/frame.hpp"

#include <zstd.h>

#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace vmm::x86_64::zstd {
namespace {

using ByteVector = std::vector<std::byte>;

ByteVector compress(const ByteVector& original, int level, int window_log = 0) {
    ByteVector packed(ZSTD_compressBound(original.size()));
    ZSTD_CCtx* const context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, level % 2);
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, level % 3 == 0 ? 0 : 1);
    const std::size_t size =
        ZSTD_compress2(context, packed.data(), packed.size(), original.data(), original.size());
    if (ZSTD_isError(size) != 0)
        std::abort();
    ZSTD_freeCCtx(context);
    packed.resize(size);
    return packed;
}

class Random {
public:
    std::uint32_t next(std::uint32_t below) {
        state_ = state_ * 6'364'136'223'846'793'005 + 1'442'695'040'888'963'407;
        return static_cast<std::uint32_t>(state_ >> 33) % below;
    }

private:
    std::uint64_t state_ = 42;
};

/// Words that come again near and far, as in a program.
ByteVector program(std::size_t size) {
    Random random;
    ByteVector bytes;
    while (bytes.size() < size) {
        const std::size_t length = 3 + random.next(random.next(20) == 0 ? 300 : 20);
        if (bytes.size() > 400 && random.next(3) != 0) {
            const std::size_t reach = random.next(4) == 0 ? bytes.size() - 400 : 30;
            const std::size_t from =
                bytes.size() - 1 - random.next(static_cast<std::uint32_t>(reach));
            for (std::size_t i = 0; i < length; ++i)
                bytes.push_back(bytes[from + i]);
        } else {
            for (std::size_t i = 0; i < length % 9; ++i)
                bytes.push_back(static_cast<std::byte>(random.next(random.next(2) == 0 ? 8 : 256)));
        }
    }
    bytes.resize(size);
    return bytes;
}

ByteVector noise(std::size_t size) {
    Random random;
    ByteVector bytes(size);
    for (std::byte& byte : bytes)
        byte = static_cast<std::byte>(random.next(256));
    return bytes;
}

/// Literals of a skewed alphabet without repetition: Huffman alone.
ByteVector skewed(std::size_t size) {
    Random random;
    ByteVector bytes(size);
    for (std::byte& byte : bytes)
        byte = static_cast<std::byte>(random.next(1 + random.next(1 + random.next(200))));
    return bytes;
}

/// Runs of every period up to 40, of many lengths.
ByteVector periods() {
    Random random;
    ByteVector bytes;
    for (std::size_t period = 1; period <= 40; ++period)
        for (int turn = 0; turn < 20; ++turn) {
            const std::size_t start = bytes.size();
            for (std::size_t i = 0; i < period; ++i)
                bytes.push_back(static_cast<std::byte>(random.next(256)));
            for (std::size_t length = random.next(200); length != 0; --length)
                bytes.push_back(bytes[bytes.size() - period]);
            EXPECT_GE(bytes.size(), start + period);
        }
    return bytes;
}

void expect_round_trip(const ByteVector& original, const ByteVector& packed) {
    ByteVector out(original.size() + 1000);

    const auto decoded = decode_frame(packed, out);

    ASSERT_TRUE(decoded.has_value());
    EXPECT_TRUE(decoded->finished);
    ASSERT_EQ(decoded->size, original.size());
    EXPECT_TRUE(std::equal(original.begin(), original.end(), out.begin()));
}

class ZstdFrameTest : public ::testing::TestWithParam<int> {};

TEST_P(ZstdFrameTest, ProgramsComeBack) {
    const ByteVector original = program(1'500'000);

    expect_round_trip(original, compress(original, GetParam()));
}

TEST_P(ZstdFrameTest, NoiseComesBack) {
    const ByteVector original = noise(400'000);

    expect_round_trip(original, compress(original, GetParam()));
}

TEST_P(ZstdFrameTest, SkewedLiteralsComeBack) {
    const ByteVector original = skewed(500'000);

    expect_round_trip(original, compress(original, GetParam()));
}

TEST_P(ZstdFrameTest, ZerosComeBack) {
    const ByteVector original(700'000);

    expect_round_trip(original, compress(original, GetParam()));
}

TEST_P(ZstdFrameTest, ShortPeriodsComeBack) {
    const ByteVector original = periods();

    expect_round_trip(original, compress(original, GetParam()));
}

TEST_P(ZstdFrameTest, EverySmallSizeComesBack) {
    const ByteVector all = program(1000);
    for (std::size_t size = 1; size < 300; ++size) {
        const ByteVector original{all.begin(), all.begin() + static_cast<std::ptrdiff_t>(size)};
        expect_round_trip(original, compress(original, GetParam()));
    }
}

TEST_P(ZstdFrameTest, OutputThatIsTooShortIsFilledExactly) {
    const ByteVector original = program(600'000);
    const ByteVector packed = compress(original, GetParam());
    for (const std::size_t size : {1UL, 17UL, 4096UL, 131'072UL, 131'073UL, 300'001UL, 599'999UL}) {
        ByteVector out(size + 1, std::byte{0x5a});

        const auto decoded = decode_frame(packed, std::span{out}.first(size));

        ASSERT_TRUE(decoded.has_value());
        EXPECT_EQ(decoded->size, size);
        EXPECT_FALSE(decoded->finished);
        EXPECT_TRUE(std::equal(out.begin(), out.end() - 1, original.begin()));
        EXPECT_EQ(out.back(), std::byte{0x5a});
    }
}

TEST_P(ZstdFrameTest, OutputOfExactlyTheSizeIsEnough) {
    const ByteVector original = program(600'000);
    const ByteVector packed = compress(original, GetParam());
    ByteVector out(original.size());

    const auto decoded = decode_frame(packed, out);

    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(decoded->size, original.size());
    EXPECT_TRUE(out == original);
}

TEST_P(ZstdFrameTest, FrameThatEndsEarlyIsNotTaken) {
    const ByteVector packed = compress(program(300'000), GetParam());
    ByteVector out(400'000);
    for (std::size_t size = 0; size + 8 < packed.size(); size += 1 + packed.size() / 200)
        EXPECT_FALSE(decode_frame(std::span{packed}.first(size), out).has_value()) << size;
}

TEST_P(ZstdFrameTest, DamagedFramesAreRefusedOrDecodedButNeverOverrun) {
    const ByteVector packed = compress(program(200'000), GetParam());
    Random random;
    std::size_t refused = 0;
    for (int turn = 0; turn < 150; ++turn) {
        // Copies of exact size, so that AddressSanitizer sees every byte too many.
        ByteVector damaged{packed};
        for (int i = 0; i < 3; ++i)
            damaged[6 + random.next(static_cast<std::uint32_t>(damaged.size() - 6))] =
                static_cast<std::byte>(random.next(256));
        ByteVector out(200'000);
        refused += decode_frame(damaged, out).has_value() ? 0 : 1;
    }
    EXPECT_GT(refused, 0U);
}

INSTANTIATE_TEST_SUITE_P(Levels, ZstdFrameTest, ::testing::Values(-5, 1, 3, 6, 10, 15, 19, 22));

TEST(ZstdFrameTest, LargeWindowWithFarMatchesComesBack) {
    ByteVector original = noise(200'000);
    const ByteVector middle = program(20'000'000);
    const ByteVector start{original.begin(), original.begin() + 150'000};
    original.insert(original.end(), middle.begin(), middle.end());
    original.insert(original.end(), start.begin(), start.end());

    expect_round_trip(original, compress(original, 1, 27));
}

TEST(ZstdFrameTest, OtherFramesThanOursAreLeftToTheLibrary) {
    ByteVector out(1000);
    const auto bytes = [](std::string_view text) { return std::as_bytes(std::span{text}); };

    EXPECT_FALSE(decode_frame(bytes("hello world, this is text"), out).has_value());
    // Skippable frame, and one that names a dictionary.
    EXPECT_FALSE(decode_frame(bytes({"\x50\x2a\x4d\x18\x04\0\0\0abcd", 12}), out).has_value());
    EXPECT_FALSE(
        decode_frame(bytes({"\x28\xb5\x2f\xfd\x01\x58\x07\x01\0\0", 10}), out).has_value());
    EXPECT_FALSE(decode_frame({}, out).has_value());
}

TEST(ZstdFrameTest, EmptyFrameIsFinishedAtOnce) {
    ByteVector out(10);

    const auto decoded = decode_frame(compress({}, 3), out);

    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(decoded->size, 0U);
    EXPECT_TRUE(decoded->finished);
}

}  // namespace
}  // namespace vmm::x86_64::zstd
