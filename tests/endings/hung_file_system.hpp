// SPDX-License-Identifier: Apache-2.0
// A file system with one file of zeroes, reads of which have no answer for as long as we like: what
// a server that went away leaves behind. Needs root and /dev/fuse.
//
// Protocol: linux/fuse.h, as far as one file needs it.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "vmm/unique_fd.hpp"

namespace vmm::endings {

class HungFileSystem {
public:
    static constexpr std::uint64_t kFileSize = 1 << 20;  // bytes

    /// Mounted at a folder that is there; check mounted().
    explicit HungFileSystem(std::filesystem::path at);
    ~HungFileSystem();
    HungFileSystem(const HungFileSystem&) = delete;
    HungFileSystem& operator=(const HungFileSystem&) = delete;

    bool mounted() const { return thread_.joinable(); }
    std::string file() const { return at_ / "disk"; }

    void hang() { hangs_ = true; }
    bool asked();   ///< a read waits, or has come within half a minute
    void answer();  ///< what waits, and all that comes from here on

private:
    struct Read {
        std::uint64_t request = 0;
        std::uint32_t size = 0;  // bytes
    };

    void serve();
    void handle(std::span<const std::byte> message);
    void reply(std::uint64_t request, std::span<const std::byte> with) const;
    void refuse(std::uint64_t request, int error) const;
    void answer(const Read& read) const;

    std::filesystem::path at_;
    UniqueFd device_;
    std::atomic<bool> hangs_ = false;
    std::mutex mutex_;
    std::vector<Read> waiting_;
    std::thread thread_;
};

}  // namespace vmm::endings
