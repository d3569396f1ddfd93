// SPDX-License-Identifier: Apache-2.0
// What a driver asks of a disk: the request header, checked once, made into what a backend takes.
//
// Spec: virtio 1.3, 5.2.6. A request is: header (16 bytes), data, one status byte; how that is cut
// into descriptors is the driver's affair. Sectors are 512 bytes whatever the block size.
// Threads: the one that owns the queue.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <optional>
#include <span>

#include "virtio/chain.hpp"
#include "virtio/features.hpp"
#include "vmm/block_backend.hpp"
#include "vmm/gpa.hpp"
#include "vmm/guest_memory.hpp"

namespace vmm::virtio_blk {

inline constexpr std::uint64_t kSector = 512;  // bytes
inline constexpr std::size_t kIdBytes = 20;

/// Feature bits. Spec: 5.2.3.
namespace f {
inline constexpr virtio::Features kSizeMax = virtio::feature(1);
inline constexpr virtio::Features kSegMax = virtio::feature(2);
inline constexpr virtio::Features kReadOnly = virtio::feature(5);
inline constexpr virtio::Features kBlkSize = virtio::feature(6);
inline constexpr virtio::Features kFlush = virtio::feature(9);
inline constexpr virtio::Features kTopology = virtio::feature(10);
inline constexpr virtio::Features kConfigWce = virtio::feature(11);
inline constexpr virtio::Features kMultiQueue = virtio::feature(12);
inline constexpr virtio::Features kDiscard = virtio::feature(13);
inline constexpr virtio::Features kWriteZeroes = virtio::feature(14);
}  // namespace f

enum class Type : std::uint32_t {
    In = 0,
    Out = 1,
    Flush = 4,
    GetId = 8,
    Discard = 11,
    WriteZeroes = 13,
};

/// The last byte of a request.
enum class Status : std::uint8_t { Ok = 0, IoError = 1, Unsupported = 2 };

/// What this disk takes, as it stands at this moment.
struct Limits {
    std::uint64_t sectors = 0;
    std::uint32_t block = 512;  ///< bytes; requests are made of whole ones
    bool readonly = false;
    bool write_through = false;     ///< a write is done when it is on stable storage
    virtio::Features features = 0;  ///< negotiated
};

// What one request may be, as config space advertises it.
inline constexpr std::uint32_t kMaxSegments = 254;
inline constexpr std::uint32_t kMaxSegmentBytes = 4 << 20;
/// Of a Read or Write; below what one system call takes.
inline constexpr std::uint64_t kMaxBytes = std::uint64_t{kMaxSegments} * kMaxSegmentBytes;
inline constexpr std::uint32_t kMaxDiscardSectors = (1u << 30) / kSector;
inline constexpr std::uint32_t kMaxZeroSectors = (64u << 20) / kSector;

/// Where the answer goes.
struct Reply {
    std::optional<Gpa> status;  ///< none: the chain has no byte for it
    std::uint64_t room = 0;     ///< writable bytes before the status
};

struct Parsed {
    enum class Action : std::uint8_t {
        Answer,  ///< with `status`, now
        GetId,   ///< the serial number, now
        Submit,  ///< `request` was filled in
    };
    Action action = Action::Answer;
    Status status = Status::IoError;
    Reply reply;
    std::uint32_t read_bytes = 0;  ///< Submit: what lies in the writable part when it succeeds
};

/// `pieces` is for request.iovecs and lives as long as the request.
Parsed parse(const virtio::Chain& chain, const GuestMemory& memory, const Limits& limits,
             std::span<iovec> pieces, BlockRequest& request) noexcept;

/// Puts the status byte; gives the length for the used ring: bytes written from the start of the
/// writable part without a gap. `data` were put there already.
std::uint32_t answer(const Reply& reply, Status status, std::uint64_t data,
                     GuestMemory& memory) noexcept;

}  // namespace vmm::virtio_blk
