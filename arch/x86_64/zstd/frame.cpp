#include "x86_64/zstd/frame.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "x86_64/zstd/huffman.hpp"
#include "x86_64/zstd/sequences.hpp"

namespace vmm::x86_64::zstd {
namespace {

constexpr std::size_t kLargestBlock = std::size_t{128} << 10;

std::size_t le(Bytes from, std::size_t at, std::size_t count) {
    std::size_t value = 0;
    for (std::size_t i = 0; i < count; ++i)
        value |= std::to_integer<std::size_t>(from[at + i]) << (8 * i);
    return value;
}

/// 3.1.1.1: gives its length, or zero for a frame that is not for us.
std::size_t frame_header_size(Bytes from) {
    constexpr std::size_t kMagic = 0xfd2f'b528;
    if (from.size() < 6 || le(from, 0, 4) != kMagic)
        return 0;
    const auto descriptor = std::to_integer<unsigned>(from[4]);
    const bool single_segment = (descriptor & 0x20) != 0;
    const unsigned size_code = descriptor >> 6;
    const bool reserved = (descriptor & 0x08) != 0;
    const bool dictionary = (descriptor & 0x03) != 0;
    if (reserved || dictionary)
        return 0;
    const std::size_t content_size = size_code == 0 ? (single_segment ? 1 : 0) : 1U << size_code;
    return 5 + (single_segment ? 0 : 1) + content_size;
}

/// A literals section's header. 3.1.1.3.1.1.
struct LiteralsHeader {
    enum class Kind : std::uint8_t { Raw, Rle, Compressed, Treeless };

    Kind kind{};
    bool four_streams = false;
    std::size_t length = 0;      ///< of the header
    std::size_t size = 0;        ///< of the literals
    std::size_t compressed = 0;  ///< of what follows the header
};

/// False if it ends early or says too much.
bool read_literals_header(Bytes from, LiteralsHeader& header) {
    if (from.empty())
        return false;
    const auto first = std::to_integer<unsigned>(from[0]);
    header.kind = static_cast<LiteralsHeader::Kind>(first & 3);
    const unsigned format = first >> 2 & 3;
    const bool coded = header.kind >= LiteralsHeader::Kind::Compressed;
    if (!coded) {
        header.length = format == 3 ? 3 : format == 1 ? 2 : 1;
        if (from.size() < header.length)
            return false;
        header.size = le(from, 0, header.length) >> (format % 2 == 0 ? 3 : 4);
        header.compressed = header.kind == LiteralsHeader::Kind::Rle ? 1 : header.size;
    } else {
        header.length = format < 2 ? 3 : format + 2;
        if (from.size() < header.length)
            return false;
        const unsigned width = format < 2 ? 10 : format == 2 ? 14 : 18;
        const std::size_t both = le(from, 0, header.length) >> 4;
        header.size = both & ((std::size_t{1} << width) - 1);
        header.compressed = both >> width;
        header.four_streams = format != 0;
    }
    return header.size <= kLargestBlock && header.compressed <= from.size() - header.length;
}

/// What blocks keep from the ones before them, and room for literals.
class FrameDecoder {
public:
    explicit FrameDecoder(std::span<std::byte> to) : to_{to} {}

    std::optional<Decoded> run(Bytes from);

private:
    bool block(Bytes content);
    bool literals(Bytes& from);
    bool coded_literals(const LiteralsHeader& header, Bytes from);
    bool sequences(Bytes from);
    bool read_tables(Bytes& from);
    void fill(std::byte value, std::size_t size);
    void copy(Bytes bytes);

    std::span<std::byte> to_;
    std::size_t at_ = 0;
    HuffmanTable huffman_;
    SequenceTables tables_;
    std::size_t literals_size_ = 0;
    std::array<std::byte, kLargestBlock + kSlack> literals_;
};

void FrameDecoder::fill(std::byte value, std::size_t size) {
    size = std::min(size, to_.size() - at_);
    std::memset(to_.data() + at_, std::to_integer<int>(value), size);
    at_ += size;
}

void FrameDecoder::copy(Bytes bytes) {
    const std::size_t size = std::min(bytes.size(), to_.size() - at_);
    std::memcpy(to_.data() + at_, bytes.data(), size);
    at_ += size;
}

bool FrameDecoder::coded_literals(const LiteralsHeader& header, Bytes from) {
    if (header.kind == LiteralsHeader::Kind::Compressed) {
        const auto length = huffman_.read(from);
        if (!length)
            return false;
        from = from.subspan(*length);
    } else if (!huffman_.is_set()) {
        return false;
    }
    const std::span<std::byte> target{literals_.data(), header.size};
    return header.four_streams ? huffman_.decode4(from, target) : huffman_.decode(from, target);
}

bool FrameDecoder::literals(Bytes& from) {
    LiteralsHeader header;
    if (!read_literals_header(from, header))
        return false;
    const Bytes content = from.subspan(header.length, header.compressed);
    from = from.subspan(header.length + header.compressed);
    literals_size_ = header.size;
    switch (header.kind) {
        case LiteralsHeader::Kind::Raw:
            std::ranges::copy(content, literals_.begin());
            return true;
        case LiteralsHeader::Kind::Rle:
            std::fill_n(literals_.begin(), header.size, content[0]);
            return true;
        default:
            return coded_literals(header, content);
    }
}

bool FrameDecoder::read_tables(Bytes& from) {
    if (from.empty())
        return false;
    const auto modes = std::to_integer<unsigned>(from[0]);
    from = from.subspan(1);
    const auto mode = [modes](unsigned shift) {
        return static_cast<TableMode>(modes >> shift & 3);
    };
    return (modes & 3) == 0 && tables_.read(SequenceCode::LiteralLength, mode(6), from) &&
           tables_.read(SequenceCode::Offset, mode(4), from) &&
           tables_.read(SequenceCode::MatchLength, mode(2), from);
}

bool FrameDecoder::sequences(Bytes from) {
    if (from.empty())
        return false;
    const auto first = std::to_integer<std::uint32_t>(from[0]);
    const std::size_t length = first < 128 ? 1 : first < 255 ? 2 : 3;
    if (from.size() < length)
        return false;
    std::uint32_t count = first;
    if (length == 2)
        count = (first - 128) << 8 | std::to_integer<std::uint32_t>(from[1]);
    if (length == 3)
        count = static_cast<std::uint32_t>(le(from, 1, 2)) + 0x7f00;
    from = from.subspan(length);
    if (count == 0 ? !from.empty() : !read_tables(from))
        return false;
    const std::size_t done = run_sequences(
        tables_, {.count = count, .bits = from, .literals = {literals_.data(), literals_size_}},
        {.base = to_.data(), .at = at_, .limit = at_ + kLargestBlock, .room = to_.size()});
    const bool right = done != 0 || (count == 0 && literals_size_ == 0);
    at_ = std::max(at_, done);
    return right;
}

bool FrameDecoder::block(Bytes content) {
    return literals(content) && sequences(content);
}

std::optional<Decoded> FrameDecoder::run(Bytes from) {
    enum class Kind : std::uint8_t { Raw, Rle, Compressed, Reserved };
    const std::size_t start = frame_header_size(from);
    constexpr std::size_t kMost = std::size_t{1} << 31;  // so that no offset reaches over all of it
    if (start == 0 || start > from.size() || to_.size() > kMost)
        return std::nullopt;
    from = from.subspan(start);
    while (at_ < to_.size()) {
        if (from.size() < 3)
            return std::nullopt;
        const std::size_t header = le(from, 0, 3);
        const bool last = (header & 1) != 0;
        const auto kind = static_cast<Kind>(header >> 1 & 3);
        const std::size_t size = header >> 3;
        const std::size_t stored = kind == Kind::Rle ? 1 : size;
        if (kind == Kind::Reserved || size > kLargestBlock || stored > from.size() - 3)
            return std::nullopt;
        const Bytes content = from.subspan(3, stored);
        if (kind == Kind::Raw)
            copy(content);
        else if (kind == Kind::Rle)
            fill(content[0], size);
        else if (!block(content))
            return std::nullopt;
        from = from.subspan(3 + stored);
        if (last)
            return Decoded{at_, at_ < to_.size()};  // a full output may have cut the block
    }
    return Decoded{at_, false};
}

}  // namespace

std::optional<Decoded> decode_frame(std::span<const std::byte> from, std::span<std::byte> to) {
    const auto decoder = std::make_unique<FrameDecoder>(to);
    return decoder->run(from);
}

}  // namespace vmm::x86_64::zstd
