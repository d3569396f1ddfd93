// SPDX-License-Identifier: Apache-2.0
// The disk as it runs: virtio-blk on a real file, with io_uring and without.

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <random>
#include <string>

#include "backends/block/block_file.hpp"
#include "virtio_blk/virtio_blk.hpp"
#include "virtio_support/device_rig.hpp"
#include "vmm/text.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm::test {
namespace {

constexpr std::uint32_t kBlock = 4096;
constexpr std::uint32_t kBlocks = 256;

struct Header {
    std::uint32_t type = 0;
    std::uint32_t reserved = 0;
    std::uint64_t sector = 0;
};

struct Case {
    RingKind kind;
    bool io_uring;
};

class DiskTest : public testing::TestWithParam<Case> {
protected:
    std::string path = testing::TempDir() + "diskXXXXXX";
    std::unique_ptr<virtio_blk::Blk> disk;
    std::unique_ptr<DeviceRig> rig;
    std::mt19937 random{1};

    void SetUp() override {
        const UniqueFd fd{::mkostemp(path.data(), O_CLOEXEC)};
        ASSERT_TRUE(fd);
        for (std::uint32_t i = 0; i < kBlocks; ++i) {
            const std::string block(kBlock, letter(i));
            ASSERT_EQ(::write(fd.get(), block.data(), kBlock), static_cast<ssize_t>(kBlock));
        }
        auto backend = open_block_file({.path = path, .io_uring = GetParam().io_uring});
        ASSERT_TRUE(backend.has_value()) << backend.error().report();
        auto made = virtio_blk::Blk::create({.queues = 2, .queue_size = 64}, *std::move(backend));
        ASSERT_TRUE(made.has_value()) << made.error().report();
        disk = *std::move(made);
        rig = std::make_unique<DeviceRig>(*disk, DeviceRig::Options{.kind = GetParam().kind});
        ASSERT_TRUE(rig->start());
    }
    ~DiskTest() override { ::unlink(path.c_str()); }

    static char letter(std::uint32_t block) { return static_cast<char>('a' + block % 26); }

    struct Request {
        std::uint32_t block = 0;
        Gpa header;
        Gpa data;
        Gpa status;
    };
    /// A place for a request, to be used again and again.
    Request place() {
        return {.header = rig->room(16), .data = rig->room(kBlock, kBlock), .status = rig->room(1)};
    }
    std::uint16_t read(std::uint16_t queue, Request& request) {
        request.block = static_cast<std::uint32_t>(random() % kBlocks);
        EXPECT_TRUE(
            rig->memory().write(request.header, Header{.sector = request.block * (kBlock / 512)}));
        EXPECT_TRUE(rig->memory().write(request.status, std::uint8_t{0x55}));
        std::memset(rig->memory().host(request.data, kBlock), 0, kBlock);
        return rig->queue(queue).add(
            {{request.header, 16}, {request.data, kBlock, true}, {request.status, 1, true}});
    }
    bool right(const Request& request) {
        return rig->memory().read<std::uint8_t>(request.status) == 0 &&
               rig->memory().text(request.data, kBlock) ==
                   std::string(kBlock, letter(request.block));
    }
};

INSTANTIATE_TEST_SUITE_P(Ways, DiskTest,
                         testing::Values(Case{RingKind::Split, true}, Case{RingKind::Packed, true},
                                         Case{RingKind::Packed, false}),
                         [](const auto& of) {
                             return cat(of.param.kind == RingKind::Split ? "Split" : "Packed",
                                        of.param.io_uring ? "Ring" : "Threads");
                         });

// Kicks only when the device asks for them: a wakeup that is lost anywhere stops this for good.
TEST_P(DiskTest, NoBatchOfAnySizeIsLost) {
    std::array<Request, 16> requests;
    for (Request& request : requests)
        request = place();
    for (int round = 0; round < 600; ++round) {
        const auto queue = static_cast<std::uint16_t>(round % 2);
        const std::size_t count = 1 + random() % requests.size();
        std::map<std::uint16_t, Request*> sent;
        for (std::size_t i = 0; i < count; ++i) {
            sent[read(queue, requests[i])] = &requests[i];
            if (random() % 4 == 0)
                rig->kick_if_wanted(queue);
        }
        rig->kick_if_wanted(queue);
        while (!sent.empty()) {
            const auto used = rig->wait_used(queue);
            ASSERT_TRUE(used.has_value()) << "round " << round << ", " << sent.size() << " left";
            const auto found = sent.find(used->id);
            ASSERT_NE(found, sent.end());
            EXPECT_EQ(used->length, kBlock + 1);
            ASSERT_TRUE(right(*found->second)) << round;
            sent.erase(found);
        }
    }
}

TEST_P(DiskTest, ResetUnderLoadLeavesAWholeDisk) {
    std::array<Request, 16> requests;
    for (Request& request : requests)
        request = place();
    for (int round = 0; round < 30; ++round) {
        for (Request& request : requests)
            read(0, request);
        rig->kick(0);
        ASSERT_TRUE(rig->reset());
        ASSERT_TRUE(rig->start());
    }
    read(0, requests[0]);
    rig->kick(0);
    ASSERT_TRUE(rig->wait_used(0).has_value());
    EXPECT_TRUE(right(requests[0]));
}

TEST_P(DiskTest, FileCutOffGivesIoErrorsAndTheRestGoesOn) {
    ASSERT_EQ(::truncate(path.c_str(), kBlock), 0);
    std::array<Request, 8> requests;
    for (Request& request : requests) {
        request = place();
        read(0, request);
    }
    rig->kick(0);
    for (std::size_t i = 0; i < requests.size(); ++i)
        ASSERT_TRUE(rig->wait_used(0).has_value());
    for (const Request& request : requests)
        EXPECT_EQ(rig->memory().read<std::uint8_t>(request.status).value(),
                  request.block == 0 ? 0 : 1);
}

}  // namespace
}  // namespace vmm::test
