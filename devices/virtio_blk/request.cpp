// SPDX-License-Identifier: Apache-2.0
#include "virtio_blk/request.hpp"

#include <limits>

namespace vmm::virtio_blk {
namespace {

using Kind = BlockRequest::Kind;
using Action = Parsed::Action;

struct Header {
    Type type;
    std::uint32_t reserved;
    std::uint64_t sector;
};
static_assert(sizeof(Header) == 16);

/// The data of Discard and WriteZeroes.
struct Range {
    std::uint64_t sector;
    std::uint32_t sectors;
    std::uint32_t flags;
};
static_assert(sizeof(Range) == 16);
constexpr std::uint32_t kUnmap = 1;

/// The last writable byte. Zero-length segments are not in a chain.
Reply find_reply(const virtio::Chain& chain) noexcept {
    if (chain.writable().empty())
        return {};
    const virtio::Segment& last = chain.writable().back();
    const std::uint64_t start = last.at.value();
    if (start > std::numeric_limits<std::uint64_t>::max() - (last.length - 1))
        return {};  // runs over the end of the address space
    return {.status = Gpa{start + (last.length - 1)}, .room = chain.writable_bytes() - 1};
}

class Parser {
public:
    Parser(const virtio::Chain& chain, const GuestMemory& memory, const Limits& limits,
           std::span<iovec> pieces, BlockRequest& request) noexcept
        : chain_{chain}, memory_{memory}, limits_{limits}, pieces_{pieces}, request_{request} {}

    Parsed parse() noexcept {
        parsed_.reply = find_reply(chain_);
        if (!parsed_.reply.status)
            return parsed_;  // nowhere to answer to: nothing is done either
        virtio::Cursor reader = chain_.reader();
        const auto header = reader.read<Header>(memory_);
        if (!header)
            return parsed_;
        switch (header->type) {
            case Type::In: {
                virtio::Cursor writer = chain_.writer();
                return transfer(Kind::Read, header->sector, writer, parsed_.reply.room);
            }
            case Type::Out:
                return transfer(Kind::Write, header->sector, reader, reader.remaining());
            case Type::Flush:
                request_ = {.kind = Kind::Flush};
                return submit();
            case Type::GetId:
                parsed_.action = Action::GetId;
                return parsed_;
            case Type::Discard:
                return range(Kind::Discard, f::kDiscard, reader);
            case Type::WriteZeroes:
                return range(Kind::WriteZeroes, f::kWriteZeroes, reader);
        }
        return unsupported();
    }

private:
    Parsed submit() noexcept {
        parsed_.action = Action::Submit;
        return parsed_;
    }
    Parsed unsupported() noexcept {
        parsed_.status = Status::Unsupported;
        return parsed_;
    }
    Parsed done() noexcept {
        parsed_.status = Status::Ok;
        return parsed_;
    }

    /// [sector, sector + bytes) lies on the disk and is made of whole blocks.
    bool on_disk(std::uint64_t sector, std::uint64_t bytes) const noexcept {
        const std::uint64_t sectors = bytes / kSector;
        return bytes % limits_.block == 0 && sector % (limits_.block / kSector) == 0 &&
               sectors <= limits_.sectors && sector <= limits_.sectors - sectors;
    }

    Parsed transfer(Kind kind, std::uint64_t sector, virtio::Cursor& data,
                    std::uint64_t bytes) noexcept {
        if (kind == Kind::Write && limits_.readonly)
            return parsed_;
        if (bytes > kMaxBytes || !on_disk(sector, bytes))
            return parsed_;
        if (bytes == 0)
            return done();
        const auto filled = data.iovecs(memory_, bytes, pieces_);
        if (!filled)
            return parsed_;
        request_ = {.kind = kind,
                    .durable = kind == Kind::Write && limits_.write_through,
                    .offset = sector * kSector,
                    .length = bytes,
                    .iovecs = pieces_.first(*filled)};
        parsed_.read_bytes = kind == Kind::Read ? static_cast<std::uint32_t>(bytes) : 0;
        return submit();
    }

    /// Discard and WriteZeroes with exactly one range, as advertised.
    Parsed range(Kind kind, virtio::Features needs, virtio::Cursor& reader) noexcept {
        if ((limits_.features & needs) == 0)
            return unsupported();
        const bool one = reader.remaining() == sizeof(Range);
        const auto range = reader.read<Range>(memory_);
        if (limits_.readonly || !one || !range)
            return parsed_;
        const bool unmap = (range->flags & kUnmap) != 0;
        if ((range->flags & ~kUnmap) != 0 || (unmap && kind == Kind::Discard))
            return unsupported();
        const auto most = kind == Kind::Discard ? kMaxDiscardSectors : kMaxZeroSectors;
        const std::uint64_t bytes = range->sectors * kSector;
        if (range->sectors > most || !on_disk(range->sector, bytes))
            return parsed_;
        if (bytes == 0)
            return done();
        request_ = {.kind = kind,
                    .durable = limits_.write_through,
                    .unmap = unmap,
                    .offset = range->sector * kSector,
                    .length = bytes};
        return submit();
    }

    const virtio::Chain& chain_;
    const GuestMemory& memory_;
    const Limits& limits_;
    std::span<iovec> pieces_;
    BlockRequest& request_;
    Parsed parsed_;
};

}  // namespace

Parsed parse(const virtio::Chain& chain, const GuestMemory& memory, const Limits& limits,
             std::span<iovec> pieces, BlockRequest& request) noexcept {
    return Parser{chain, memory, limits, pieces, request}.parse();
}

std::uint32_t answer(const Reply& reply, Status status, std::uint64_t data,
                     GuestMemory& memory) noexcept {
    if (!reply.status || !memory.write(*reply.status, status))
        return 0;
    // The status follows the data: unless all of it is written, it stands after a gap.
    return data == reply.room ? static_cast<std::uint32_t>(data + 1)
                              : static_cast<std::uint32_t>(data);
}

}  // namespace vmm::virtio_blk
