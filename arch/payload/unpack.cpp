// SPDX-License-Identifier: Apache-2.0
#include "payload/unpack.hpp"

#include <lzma.h>
#include <zlib.h>

#include <lz4.h>
#include <lz4frame.h>
#define ZSTD_STATIC_LINKING_ONLY  // names of the two experimental parameters
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "vmm/text.hpp"

namespace vmm {
namespace {

using Bytes = std::span<const std::byte>;

Error truncated(Compression compression) {
    return Error{ErrorKind::Config,
                 cat("the ", name_of(compression), " data ends before its end: truncated")};
}

Error damaged(Compression compression, std::string_view why) {
    return Error{ErrorKind::Config,
                 cat("the ", name_of(compression), " data is damaged (", why, ")")};
}

Error no_memory(Compression compression) {
    return Error::os("malloc", ENOMEM).context(cat("unpack the ", name_of(compression), " data"));
}

const std::uint8_t* u8(const std::byte* at) {
    return reinterpret_cast<const std::uint8_t*>(at);
}

std::optional<std::uint32_t> le32(Bytes from) {
    if (from.size() < 4)
        return std::nullopt;
    std::uint32_t value = 0;
    std::memcpy(&value, from.data(), sizeof value);
    return value;
}

// ---- zstd ----------------------------------------------------------------------------------

/// The streaming interface, a block a call. "Stable output" promises the decoder that what it wrote
/// stays where it is: it then needs no window of its own (128 MiB for a Linux kernel) from which
/// all would have to be copied. Both parameters are experimental upstream: a library that does not
/// have them any more refuses to set them and does the same work in a slower way. What all of this
/// costs, measured, is in the README.
class ZstdDecoder {
public:
    explicit ZstdDecoder(bool in_place) : context_{ZSTD_createDCtx(), ZSTD_freeDCtx} {
        if (!context_)
            return;
        set(ZSTD_d_forceIgnoreChecksum, ZSTD_d_ignoreChecksum);
        if (in_place)
            set(ZSTD_d_stableOutBuffer, 1);
    }

    /// None: in place, and the next block is longer than what is left of `to`.
    Result<std::optional<Unpacked>> run(Bytes from, std::span<std::byte> to, std::size_t enough);

private:
    void set(ZSTD_dParameter parameter, int value) {
        ZSTD_DCtx_setParameter(context_.get(), parameter, value);
    }

    std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context_;
};

Error zstd_error(std::size_t result) {
    switch (ZSTD_getErrorCode(result)) {
        case ZSTD_error_frameParameter_windowTooLarge:
            return damaged(Compression::Zstd, "it needs a window of more than 128 MiB to unpack");
        case ZSTD_error_memory_allocation:
            return no_memory(Compression::Zstd);
        default:
            return damaged(Compression::Zstd, ZSTD_getErrorName(result));
    }
}

Result<std::optional<Unpacked>> ZstdDecoder::run(Bytes from, std::span<std::byte> to,
                                                 std::size_t enough) {
    if (!context_)
        return std::unexpected(no_memory(Compression::Zstd));
    ZSTD_outBuffer out{to.data(), to.size(), 0};
    std::size_t wanted = ZSTD_FRAMEHEADERSIZE_MIN(ZSTD_f_zstd1);
    while (out.pos < enough) {
        if (from.empty())
            return std::unexpected(truncated(Compression::Zstd));
        ZSTD_inBuffer in{from.data(), std::min(wanted, from.size()), 0};
        wanted = ZSTD_decompressStream(context_.get(), &out, &in);
        if (ZSTD_getErrorCode(wanted) == ZSTD_error_dstSize_tooSmall)
            return std::nullopt;
        if (ZSTD_isError(wanted) != 0)
            return std::unexpected(zstd_error(wanted));
        from = from.subspan(in.pos);
        if (wanted == 0)
            return Unpacked{out.pos, true};
    }
    return Unpacked{out.pos, false};
}

Result<Unpacked> unpack_zstd(Bytes from, std::span<std::byte> to, std::size_t enough) {
    // The start of a file alone: the window costs less than the fault of trying.
    if (to.size() > kUnpackSlack)
        if (const auto got = VMM_TRY(ZstdDecoder{true}.run(from, to, enough)))
            return *got;
    const auto got = VMM_TRY(ZstdDecoder{false}.run(from, to, enough));
    return got ? *got : Unpacked{};
}

// ---- gzip ----------------------------------------------------------------------------------

/// zlib counts in unsigned int.
unsigned at_most_32_bits(std::size_t size) {
    return static_cast<unsigned>(
        std::min<std::size_t>(size, std::numeric_limits<unsigned>::max() / 2));
}

Result<Unpacked> unpack_gzip(Bytes from, std::span<std::byte> to) {
    constexpr int kGzipWrapper = 16;
    z_stream stream{};
    if (inflateInit2(&stream, MAX_WBITS + kGzipWrapper) != Z_OK)
        return std::unexpected(no_memory(Compression::Gzip));
    const std::unique_ptr<z_stream, int (*)(z_stream*)> end{&stream, inflateEnd};
    inflateValidate(&stream, 0);  // no CRC
    std::size_t read = 0;
    std::size_t written = 0;
    while (written < to.size()) {
        stream.next_in = const_cast<Bytef*>(u8(from.data() + read));
        stream.avail_in = at_most_32_bits(from.size() - read);
        stream.next_out = reinterpret_cast<Bytef*>(to.data() + written);
        stream.avail_out = at_most_32_bits(to.size() - written);
        const unsigned offered = stream.avail_in;
        const unsigned room = stream.avail_out;
        const int status = inflate(&stream, Z_NO_FLUSH);
        read += offered - stream.avail_in;
        written += room - stream.avail_out;
        if (status == Z_STREAM_END)
            return Unpacked{written, true};
        if (status == Z_MEM_ERROR)
            return std::unexpected(no_memory(Compression::Gzip));
        if (status != Z_OK && status != Z_BUF_ERROR)
            return std::unexpected(
                damaged(Compression::Gzip, stream.msg != nullptr ? stream.msg : "inflate failed"));
        if (read == from.size() && stream.avail_out != 0)
            return std::unexpected(truncated(Compression::Gzip));
    }
    return Unpacked{written, false};
}

// ---- xz ------------------------------------------------------------------------------------

Result<Unpacked> unpack_xz(Bytes from, std::span<std::byte> to) {
    // The header names the size of the decoder's dictionary; Linux's build uses up to 128 MiB.
    constexpr std::uint64_t kMemoryLimit = std::uint64_t{512} << 20;
    lzma_stream stream = LZMA_STREAM_INIT;
    if (lzma_stream_decoder(&stream, kMemoryLimit, LZMA_IGNORE_CHECK) != LZMA_OK)
        return std::unexpected(no_memory(Compression::Xz));
    const std::unique_ptr<lzma_stream, void (*)(lzma_stream*)> end{&stream, lzma_end};
    stream.next_in = u8(from.data());
    stream.avail_in = from.size();
    stream.next_out = reinterpret_cast<std::uint8_t*>(to.data());
    stream.avail_out = to.size();
    lzma_ret status = LZMA_OK;
    while (status == LZMA_OK && stream.avail_out != 0)
        status = lzma_code(&stream, LZMA_RUN);
    const std::size_t written = to.size() - stream.avail_out;
    switch (status) {
        case LZMA_OK:
            return Unpacked{written, false};
        case LZMA_STREAM_END:
            return Unpacked{written, true};
        case LZMA_BUF_ERROR:
            return std::unexpected(truncated(Compression::Xz));
        case LZMA_MEM_ERROR:
            return std::unexpected(no_memory(Compression::Xz));
        case LZMA_MEMLIMIT_ERROR:
            return std::unexpected(
                damaged(Compression::Xz, "it needs more than 512 MiB to unpack"));
        case LZMA_OPTIONS_ERROR:
            return std::unexpected(
                damaged(Compression::Xz, "it uses a filter that is not supported here"));
        default:
            return std::unexpected(damaged(Compression::Xz, "corrupt"));
    }
}

// ---- LZ4 -----------------------------------------------------------------------------------

constexpr std::uint32_t kLz4LegacyMagic = 0x184c'2102;
constexpr std::size_t kLz4LegacyBlock = std::size_t{8} << 20;  ///< all blocks but the last
static_assert(LZ4_COMPRESSBOUND(8 << 20) < (16 << 20));

int lz4_block(Bytes from, std::span<std::byte> to) {
    const auto* const source = reinterpret_cast<const char*>(from.data());
    auto* const target = reinterpret_cast<char*>(to.data());
    const int length = static_cast<int>(from.size());
    const int room = static_cast<int>(to.size());
    if (to.size() == kLz4LegacyBlock)  // the faster one, which needs room for all of the block
        return LZ4_decompress_safe(source, target, length, room);
    return LZ4_decompress_safe_partial(source, target, length, room, room);
}

/// A magic number, then blocks of a 32-bit length and that many bytes; there is no end mark.
Result<Unpacked> unpack_lz4_legacy(Bytes from, std::span<std::byte> to) {
    from = from.subspan(4);
    std::size_t written = 0;
    while (written < to.size()) {
        if (from.empty())
            return Unpacked{written, true};
        const auto length = le32(from);
        if (!length)
            return std::unexpected(truncated(Compression::Lz4Legacy));
        if (*length == kLz4LegacyMagic) {  // archives put together: the next one starts
            from = from.subspan(4);
            continue;
        }
        if (*length > LZ4_COMPRESSBOUND(kLz4LegacyBlock))
            return std::unexpected(damaged(Compression::Lz4Legacy, "block too long"));
        if (*length > from.size() - 4)
            return std::unexpected(truncated(Compression::Lz4Legacy));
        const std::size_t room = std::min(to.size() - written, kLz4LegacyBlock);
        const int got = lz4_block(from.subspan(4, *length), to.subspan(written, room));
        if (got < 0)
            return std::unexpected(damaged(Compression::Lz4Legacy, "corrupt block"));
        written += static_cast<std::size_t>(got);
        from = from.subspan(4 + *length);
    }
    return Unpacked{written, false};
}

Result<Unpacked> unpack_lz4_frame(Bytes from, std::span<std::byte> to) {
    LZ4F_dctx* made = nullptr;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&made, LZ4F_VERSION)) != 0)
        return std::unexpected(no_memory(Compression::Lz4Frame));
    const std::unique_ptr<LZ4F_dctx, LZ4F_errorCode_t (*)(LZ4F_dctx*)> context{
        made, LZ4F_freeDecompressionContext};
    LZ4F_decompressOptions_t options{};
    options.stableDst = 1;  // what was written stays where it is: no window of its own
    options.skipChecksums = 1;
    std::size_t written = 0;
    while (written < to.size()) {
        std::size_t room = to.size() - written;
        std::size_t read = from.size();
        const std::size_t hint = LZ4F_decompress(context.get(), to.data() + written, &room,
                                                 from.data(), &read, &options);
        if (LZ4F_isError(hint) != 0)
            return std::unexpected(damaged(Compression::Lz4Frame, LZ4F_getErrorName(hint)));
        written += room;
        from = from.subspan(read);
        if (hint == 0)
            return Unpacked{written, true};
        if (read == 0 && room == 0)
            return std::unexpected(truncated(Compression::Lz4Frame));
    }
    return Unpacked{written, false};
}

struct Magic {
    Compression compression;
    std::size_t length;
    std::array<std::uint8_t, 6> bytes;
};

constexpr auto kMagics = std::array{
    Magic{Compression::Gzip, 2, {0x1f, 0x8b}},
    Magic{Compression::Zstd, 4, {0x28, 0xb5, 0x2f, 0xfd}},
    Magic{Compression::Xz, 6, {0xfd, '7', 'z', 'X', 'Z', 0}},
    Magic{Compression::Lz4Legacy, 4, {0x02, 0x21, 0x4c, 0x18}},
    Magic{Compression::Lz4Frame, 4, {0x04, 0x22, 0x4d, 0x18}},
    Magic{Compression::Bzip2, 3, {'B', 'Z', 'h'}},
    Magic{Compression::Lzma, 3, {0x5d, 0, 0}},
    Magic{Compression::Lzo, 4, {0x89, 'L', 'Z', 'O'}},
};

}  // namespace

Compression detect_compression(std::span<const std::byte> head) {
    for (const Magic& magic : kMagics)
        if (head.size() >= magic.length &&
            std::memcmp(head.data(), magic.bytes.data(), magic.length) == 0)
            return magic.compression;
    return Compression::None;
}

std::string_view name_of(Compression compression) {
    switch (compression) {
        case Compression::None:
            return "uncompressed";
        case Compression::Gzip:
            return "gzip";
        case Compression::Zstd:
            return "zstd";
        case Compression::Xz:
            return "xz";
        case Compression::Lz4Legacy:
        case Compression::Lz4Frame:
            return "LZ4";
        case Compression::Bzip2:
            return "bzip2";
        case Compression::Lzma:
            return "LZMA";
        case Compression::Lzo:
            return "LZO";
    }
    return "unknown";
}

Result<Unpacked> unpack(Compression compression, std::span<const std::byte> from,
                        std::span<std::byte> to, std::size_t enough) {
    if (to.empty())
        return Unpacked{};
    if (detect_compression(from) != compression)
        return std::unexpected(damaged(compression, "its magic number is missing"));
    const auto just_enough = to.first(std::min(enough, to.size()));
    switch (compression) {
        case Compression::Gzip:
            return unpack_gzip(from, just_enough);
        case Compression::Zstd:
            return unpack_zstd(from, to, std::min(enough, to.size()));
        case Compression::Xz:
            return unpack_xz(from, just_enough);
        case Compression::Lz4Legacy:
            return unpack_lz4_legacy(from, just_enough);
        case Compression::Lz4Frame:
            return unpack_lz4_frame(from, just_enough);
        default:
            return std::unexpected(damaged(compression, "a format that is not supported here"));
    }
}

}  // namespace vmm
