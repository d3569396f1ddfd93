// SPDX-License-Identifier: Apache-2.0
#include "hung_file_system.hpp"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "vmm/text.hpp"

namespace vmm::endings {
namespace {

constexpr std::uint64_t kFile = 2;
constexpr std::uint64_t kForLong = 3600;  // seconds that the kernel may remember the name
constexpr std::uint32_t kMostWritten = 4096;

fuse_attr attributes_of(std::uint64_t node, std::uint64_t size) {
    fuse_attr attributes{};
    attributes.ino = node;
    attributes.size = node == kFile ? size : 0;
    attributes.mode = node == kFile ? S_IFREG | 0600 : S_IFDIR | 0700;
    attributes.nlink = 1;
    attributes.blksize = 4096;
    return attributes;
}

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
    return std::as_bytes(std::span{&value, 1});
}

template <class T>
T argument_of(std::span<const std::byte> message) {
    T value{};
    std::memcpy(&value, message.data() + sizeof(fuse_in_header), sizeof value);
    return value;
}

}  // namespace

HungFileSystem::HungFileSystem(std::filesystem::path at)
    : at_{std::move(at)}, device_{::open("/dev/fuse", O_RDWR | O_CLOEXEC)} {
    if (!device_)
        return;
    const auto options = cat("fd=", device_.get(), ",rootmode=40000,user_id=0,group_id=0");
    if (::mount("hung", at_.c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) != 0)
        return;
    thread_ = std::thread{[this] { serve(); }};
}

HungFileSystem::~HungFileSystem() {
    if (!mounted())
        return;
    ::umount2(at_.c_str(), MNT_FORCE | MNT_DETACH);  // read() ends with ENODEV
    thread_.join();
}

bool HungFileSystem::asked() {
    for (int i = 0; i < 3000; ++i) {
        {
            const std::scoped_lock held{mutex_};
            if (!waiting_.empty())
                return true;
        }
        ::usleep(10'000);
    }
    return false;
}

void HungFileSystem::answer() {
    const std::scoped_lock held{mutex_};
    hangs_ = false;
    for (const Question& question : waiting_)
        answer(question);
    waiting_.clear();
}

void HungFileSystem::serve() {
    std::vector<std::byte> message(FUSE_MIN_READ_BUFFER + kMostWritten);
    for (;;) {
        const auto size = ::read(device_.get(), message.data(), message.size());
        if (size >= 0)
            handle(std::span{message}.first(static_cast<std::size_t>(size)));
        else if (errno != EINTR && errno != EAGAIN && errno != ENOENT)
            return;
    }
}

void HungFileSystem::handle(std::span<const std::byte> message) {
    fuse_in_header header{};
    std::memcpy(&header, message.data(), sizeof header);
    switch (header.opcode) {
        case FUSE_INIT: {
            fuse_init_out out{};
            out.major = FUSE_KERNEL_VERSION;
            out.minor = 31;
            out.max_write = kMostWritten;
            return reply(header.unique, bytes_of(out));
        }
        case FUSE_LOOKUP: {
            fuse_entry_out out{};
            out.nodeid = kFile;
            out.entry_valid = kForLong;
            out.attr = attributes_of(kFile, size_);
            return reply(header.unique, bytes_of(out));
        }
        case FUSE_GETATTR:
            return answer_when_due({.request = header.unique, .node = header.nodeid});
        case FUSE_OPEN:
            return reply(header.unique, bytes_of(fuse_open_out{}));
        case FUSE_READ:
            return answer_when_due({.request = header.unique,
                                    .node = header.nodeid,
                                    .read = argument_of<fuse_read_in>(message).size});
        case FUSE_RELEASE:
            return reply(header.unique, {});
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
        case FUSE_INTERRUPT:
            return;  // have no answer
        default:
            return refuse(header.unique, ENOSYS);
    }
}

void HungFileSystem::answer_when_due(const Question& question) {
    const std::scoped_lock held{mutex_};
    if (hangs_)
        waiting_.push_back(question);
    else
        answer(question);
}

void HungFileSystem::answer(const Question& question) const {
    if (question.read)
        return reply(question.request, std::vector<std::byte>(*question.read));
    fuse_attr_out out{};  // valid for no time: asked for again
    out.attr = attributes_of(question.node, size_);
    reply(question.request, bytes_of(out));
}

void HungFileSystem::reply(std::uint64_t request, std::span<const std::byte> with) const {
    fuse_out_header header{};
    header.len = static_cast<std::uint32_t>(sizeof header + with.size());
    header.unique = request;
    std::array<iovec, 2> pieces{iovec{&header, sizeof header},
                                iovec{const_cast<std::byte*>(with.data()), with.size()}};
    // Fails when who asked has gone, and then nobody is there to be told.
    [[maybe_unused]] const auto done =
        ::writev(device_.get(), pieces.data(), static_cast<int>(pieces.size()));
}

void HungFileSystem::refuse(std::uint64_t request, int error) const {
    fuse_out_header header{};
    header.len = sizeof header;
    header.error = -error;
    header.unique = request;
    [[maybe_unused]] const auto done = ::write(device_.get(), &header, sizeof header);
}

}  // namespace vmm::endings
