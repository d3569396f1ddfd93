// SPDX-License-Identifier: Apache-2.0
// A file system with one file of zeroes, of which no question is answered for as long as we like:
// what a server that went away leaves behind. Needs root and /dev/fuse.
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
    /// Mounted at a folder that is there; check mounted().
    explicit HungFileSystem(std::filesystem::path at);
    ~HungFileSystem();
    HungFileSystem(const HungFileSystem&) = delete;
    HungFileSystem& operator=(const HungFileSystem&) = delete;

    bool mounted() const { return thread_.joinable(); }
    std::string file() const { return at_ / "disk"; }

    void resize(std::uint64_t bytes) { size_ = bytes; }
    void hang() { hangs_ = true; }
    bool asked();   ///< a question waits, or has come within half a minute
    void answer();  ///< what waits, and all that comes from here on

private:
    /// A read, or what the attributes are.
    struct Question {
        std::uint64_t request = 0;
        std::uint64_t node = 0;
        std::optional<std::uint32_t> read{};  // bytes
    };

    void serve();
    void handle(std::span<const std::byte> message);
    void reply(std::uint64_t request, std::span<const std::byte> with) const;
    void refuse(std::uint64_t request, int error) const;
    void answer_when_due(const Question& question);
    void answer(const Question& question) const;

    std::filesystem::path at_;
    UniqueFd device_;
    std::atomic<bool> hangs_ = false;
    std::atomic<std::uint64_t> size_ = 1 << 20;  // bytes
    std::mutex mutex_;
    std::vector<Question> waiting_;
    std::thread thread_;
};

}  // namespace vmm::endings
