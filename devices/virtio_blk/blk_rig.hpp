// SPDX-License-Identifier: Apache-2.0
// What the tests of the disk share: a disk on a fake medium, and requests as a driver writes them.
// Numbers are written out here, not taken from the device's headers.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/fake_block_backend.hpp"
#include "virtio_blk/virtio_blk.hpp"
#include "virtio_support/device_rig.hpp"

namespace vmm::test {

struct DiskHeader {
    std::uint32_t type = 0;
    std::uint32_t reserved = 0;
    std::uint64_t sector = 0;
};
struct DiskRange {
    std::uint64_t sector = 0;
    std::uint32_t sectors = 0;
    std::uint32_t flags = 0;
};

inline constexpr std::uint32_t kIn = 0;
inline constexpr std::uint32_t kOut = 1;
inline constexpr std::uint32_t kFlush = 4;
inline constexpr std::uint32_t kGetId = 8;
inline constexpr std::uint32_t kDiscard = 11;
inline constexpr std::uint32_t kWriteZeroes = 13;

inline constexpr int kOk = 0;
inline constexpr int kIoError = 1;
inline constexpr int kUnsupported = 2;
inline constexpr int kUntouched = 0x55;

/// A disk of 1 MiB, started, unless the test changes `backend` before start().
struct BlkRig {
    std::unique_ptr<FakeBlockBackend> made = std::make_unique<FakeBlockBackend>(1 << 20);
    FakeBlockBackend& backend = *made;
    std::unique_ptr<virtio_blk::Blk> disk;
    std::unique_ptr<DeviceRig> rig;

    virtio_blk::BlkOptions options{.name = "disk0", .serial = "serial-1", .queue_size = 16};

    ~BlkRig() { backend.release_all(); }
    BlkRig() = default;
    BlkRig(const BlkRig&) = delete;
    BlkRig& operator=(const BlkRig&) = delete;

    void make(DeviceRig::Options how = {}) {
        disk = std::move(virtio_blk::Blk::create(options, std::move(made)).value());
        rig = std::make_unique<DeviceRig>(*disk, how);
    }
    void start(DeviceRig::Options how = {}) {
        make(how);
        ASSERT_TRUE(rig->start());
    }

    /// A request in the driver's hands.
    struct Sent {
        std::uint16_t queue = 0;
        std::uint16_t id = 0;
        Gpa status;
    };

    Gpa header(std::uint32_t type, std::uint64_t sector) {
        return rig->put_value(DiskHeader{.type = type, .sector = sector});
    }
    Gpa status_byte() { return rig->put_value(static_cast<std::uint8_t>(kUntouched)); }

    /// Header, `data`, status. No kick.
    Sent add(std::uint32_t type, std::uint64_t sector, std::vector<Buffer> data = {},
             std::uint16_t queue = 0) {
        const Gpa status = status_byte();
        data.insert(data.begin(), Buffer{header(type, sector), 16});
        data.push_back({status, 1, true});
        return {queue, rig->queue(queue).add(data), status};
    }
    Sent send(std::uint32_t type, std::uint64_t sector, std::vector<Buffer> data = {},
              std::uint16_t queue = 0) {
        const Sent sent = add(type, sector, std::move(data), queue);
        rig->kick(queue);
        return sent;
    }
    Sent read(std::uint64_t sector, Gpa to, std::uint32_t bytes) {
        return send(kIn, sector, {{to, bytes, true}});
    }
    Sent write(std::uint64_t sector, std::string_view text) {
        return send(kOut, sector, {{rig->put(text), static_cast<std::uint32_t>(text.size())}});
    }
    Sent range(std::uint32_t type, DiskRange range) {
        return send(type, 0, {{rig->put_value(range), sizeof range}});
    }

    int status(const Sent& sent) { return rig->memory().read<std::uint8_t>(sent.status).value(); }
    /// Waits until it comes back under its id; the length in the used ring, -1 if it does not come.
    std::int64_t length(const Sent& sent) {
        const auto used = rig->wait_used(sent.queue);
        return used && used->id == sent.id ? std::int64_t{used->length} : -1;
    }
    /// The status after that; -1 if it does not come.
    int result(const Sent& sent) { return length(sent) < 0 ? -1 : status(sent); }
    /// A request that any living disk answers.
    bool alive() { return result(send(kFlush, 0)) == kOk; }
};

inline std::string filled(std::size_t size, char with) {
    return std::string(size, with);
}

class BlkTest : public testing::TestWithParam<RingKind>, public BlkRig {
protected:
    void start_disk() { start({.kind = GetParam()}); }
};

}  // namespace vmm::test
