#include "x86_64/unpack.hpp"

#include <lzma.h>
#include <zlib.h>

#include <lz4.h>
#include <lz4frame.h>
#define ZSTD_STATIC_LINKING_ONLY  // the block-wise interface
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "vmm/text.hpp"

namespace vmm::x86_64 {
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

/// Block by block, from the input as it lies to the output as it lies: the streaming interface
/// would keep a window of its own and copy everything out of it. Taking the blocks apart here also
/// lets zeros stay what they are: a third of a kernel is zeros, and RAM that nobody wrote to is not
/// even there yet.
class ZstdDecoder {
public:
    ZstdDecoder() : context_{ZSTD_createDCtx(), ZSTD_freeDCtx} {}

    Result<Unpacked> run(Bytes from, std::span<std::byte> to);

private:
    enum class Before : std::uint8_t { Zero, Anything };

    /// RFC 8878, 3.1.1.2.
    struct Block {
        enum class Type : std::uint8_t { Raw, Rle, Compressed, Reserved } type = Type::Raw;
        bool last = false;
        std::size_t size = 0;  ///< of the output, except for a compressed one
        Bytes bytes;
    };
    static Result<Block> take_block(Bytes& from);
    Result<std::size_t> decode(const Block& block, std::span<std::byte> to, Before before);
    Result<Unpacked> finish_aside(Bytes from, std::span<std::byte> to, std::size_t done);

    std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context_;
    const std::byte* touched_end_ = nullptr;  // from here on nothing was written to the output
};

Result<ZstdDecoder::Block> ZstdDecoder::take_block(Bytes& from) {
    constexpr std::size_t kHeader = 3;
    if (from.size() < kHeader)
        return std::unexpected(truncated(Compression::Zstd));
    const auto header = std::to_integer<std::uint32_t>(from[0]) |
                        std::to_integer<std::uint32_t>(from[1]) << 8U |
                        std::to_integer<std::uint32_t>(from[2]) << 16U;
    Block block{.type = static_cast<Block::Type>(header >> 1U & 3U),
                .last = (header & 1U) != 0,
                .size = header >> 3U,
                .bytes = {}};
    if (block.type == Block::Type::Reserved || block.size > ZSTD_BLOCKSIZE_MAX)
        return std::unexpected(damaged(Compression::Zstd, "a block of no known kind or size"));
    from = from.subspan(kHeader);
    const std::size_t length = block.type == Block::Type::Rle ? 1 : block.size;
    if (from.size() < length)
        return std::unexpected(truncated(Compression::Zstd));
    block.bytes = from.first(length);
    from = from.subspan(length);
    return block;
}

/// Requires: `to` has room for the largest block.
Result<std::size_t> ZstdDecoder::decode(const Block& block, std::span<std::byte> to,
                                        Before before) {
    if (block.type == Block::Type::Compressed) {
        // All that it may write to is scratch memory to the decoder: it puts literals behind the
        // block if there is room, which is faster.
        constexpr std::size_t kRoom = 2 * std::size_t{ZSTD_BLOCKSIZE_MAX} + 4096;
        const auto room = to.first(std::min(to.size(), kRoom));
        touched_end_ = room.data() + room.size();
        const std::size_t got = ZSTD_decompressBlock(context_.get(), room.data(), room.size(),
                                                     block.bytes.data(), block.bytes.size());
        if (ZSTD_isError(got) != 0)
            return std::unexpected(damaged(Compression::Zstd, ZSTD_getErrorName(got)));
        return got;
    }
    if (block.type == Block::Type::Raw)
        std::ranges::copy(block.bytes, to.begin());
    else if (block.bytes[0] != std::byte{0} || before == Before::Anything)
        std::ranges::fill(to.first(block.size), block.bytes[0]);
    else if (touched_end_ > to.data())
        std::ranges::fill(
            to.first(std::min(block.size, static_cast<std::size_t>(touched_end_ - to.data()))),
            std::byte{0});
    ZSTD_insertBlock(context_.get(), to.data(), block.size);  // history for the next ones
    return block.size;
}

Result<Unpacked> ZstdDecoder::run(Bytes from, std::span<std::byte> to) {
    ZSTD_frameHeader header{};
    const std::size_t missing = ZSTD_getFrameHeader(&header, from.data(), from.size());
    if (ZSTD_isError(missing) != 0)
        return std::unexpected(damaged(Compression::Zstd, ZSTD_getErrorName(missing)));
    if (missing != 0)
        return std::unexpected(truncated(Compression::Zstd));
    if (header.frameType != ZSTD_frame || header.dictID != 0)
        return std::unexpected(damaged(Compression::Zstd, "a frame that stands not for itself"));
    from = from.subspan(header.headerSize);
    ZSTD_decompressBegin(context_.get());
    std::size_t done = 0;
    while (to.size() - done >= ZSTD_BLOCKSIZE_MAX) {
        const auto block = VMM_TRY(take_block(from));
        done += VMM_TRY(decode(block, to.subspan(done), Before::Zero));
        if (block.last)
            return Unpacked{done, true};
    }
    return finish_aside(from, to, done);
}

/// A block is decoded whole or not at all, and the room left may be smaller than one. The decoder
/// can go on elsewhere once (what it wrote before stays its history), so the rest goes into memory
/// of its own, and what fits is copied.
Result<Unpacked> ZstdDecoder::finish_aside(Bytes from, std::span<std::byte> to, std::size_t done) {
    constexpr std::size_t kSize = std::size_t{2} * ZSTD_BLOCKSIZE_MAX;
    const std::size_t room = to.size() - done;
    const std::unique_ptr<std::byte[]> aside{new std::byte[kSize]};
    std::size_t filled = 0;
    bool more = true;
    while (more && filled <= room && kSize - filled >= ZSTD_BLOCKSIZE_MAX) {
        const auto block = VMM_TRY(take_block(from));
        filled += VMM_TRY(
            decode(block, std::span{aside.get() + filled, kSize - filled}, Before::Anything));
        more = !block.last;
    }
    const std::size_t fits = std::min(filled, room);
    std::memcpy(to.data() + done, aside.get(), fits);
    return Unpacked{done + fits, !more && fits == filled};
}

// ---- gzip ----------------------------------------------------------------------------------

/// Where the deflate data starts. RFC 1952, 2.3.
Result<std::size_t> end_of_gzip_header(Bytes from) {
    constexpr std::uint8_t kHeaderCrc = 2;
    constexpr std::uint8_t kExtra = 4;
    constexpr std::uint8_t kName = 8;
    constexpr std::uint8_t kComment = 16;
    if (from.size() < 10)
        return std::unexpected(truncated(Compression::Gzip));
    const auto flags = std::to_integer<std::uint8_t>(from[3]);
    if (std::to_integer<int>(from[2]) != Z_DEFLATED || (flags & 0xe0) != 0)
        return std::unexpected(damaged(Compression::Gzip, "unknown method or flags"));
    std::size_t at = 10;
    if ((flags & kExtra) != 0) {
        if (from.size() < at + 2)
            return std::unexpected(truncated(Compression::Gzip));
        at += 2 + std::to_integer<std::size_t>(from[at]) +
              256 * std::to_integer<std::size_t>(from[at + 1]);
    }
    for (const std::uint8_t text : {kName, kComment}) {
        if ((flags & text) == 0)
            continue;
        const auto rest = from.subspan(std::min(at, from.size()));
        const auto zero = std::find(rest.begin(), rest.end(), std::byte{0});
        at += static_cast<std::size_t>(zero - rest.begin()) + 1;
    }
    if ((flags & kHeaderCrc) != 0)
        at += 2;
    if (at > from.size())
        return std::unexpected(truncated(Compression::Gzip));
    return at;
}

/// zlib counts in unsigned int.
unsigned at_most_32_bits(std::size_t size) {
    return static_cast<unsigned>(
        std::min<std::size_t>(size, std::numeric_limits<unsigned>::max() / 2));
}

Result<Unpacked> unpack_gzip(Bytes from, std::span<std::byte> to) {
    const std::size_t start = VMM_TRY(end_of_gzip_header(from));
    from = from.subspan(start);
    z_stream stream{};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)  // negative: deflate without a wrapper, no CRC
        return std::unexpected(damaged(Compression::Gzip, "no memory for the decoder"));
    const std::unique_ptr<z_stream, int (*)(z_stream*)> end{&stream, inflateEnd};
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
        return std::unexpected(damaged(Compression::Xz, "no memory for the decoder"));
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
        case LZMA_MEMLIMIT_ERROR:
            return std::unexpected(
                damaged(Compression::Xz, "it wants more than 512 MiB to unpack"));
        case LZMA_OPTIONS_ERROR:
            return std::unexpected(damaged(Compression::Xz, "it uses a filter unknown here"));
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
        return std::unexpected(damaged(Compression::Lz4Frame, "no memory for the decoder"));
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

constexpr std::array kMagics{
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
                        std::span<std::byte> to) {
    if (to.empty())
        return Unpacked{};
    if (detect_compression(from) != compression)
        return std::unexpected(damaged(compression, "its magic number is missing"));
    switch (compression) {
        case Compression::Gzip:
            return unpack_gzip(from, to);
        case Compression::Zstd:
            return ZstdDecoder{}.run(from, to);
        case Compression::Xz:
            return unpack_xz(from, to);
        case Compression::Lz4Legacy:
            return unpack_lz4_legacy(from, to);
        case Compression::Lz4Frame:
            return unpack_lz4_frame(from, to);
        default:
            return std::unexpected(damaged(compression, "cannot be unpacked here"));
    }
}

}  // namespace vmm::x86_64
