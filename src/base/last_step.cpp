// SPDX-License-Identifier: Apache-2.0
#include "vmm/last_step.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

namespace vmm {

void LastStep::run_all() noexcept {
    find([](const LastStep& entry) {
        entry.step_(entry.what_);
        return false;
    });
}

OwnFile::OwnFile(std::string path) : path_{std::move(path)}, step_{remove, this} {
    struct stat what {};
    if (::lstat(path_.c_str(), &what) == 0) {
        inode_ = what.st_ino;
        device_ = what.st_dev;
    }
}

OwnFile::OwnFile(std::string path, int fd) : path_{std::move(path)}, step_{remove, this} {
    struct stat what {};
    if (::fstat(fd, &what) == 0) {
        inode_ = what.st_ino;
        device_ = what.st_dev;
    }
}

OwnFile::~OwnFile() {
    remove(this);
}

void OwnFile::remove(const void* file) noexcept {
    const auto& own = *static_cast<const OwnFile*>(file);
    struct stat what {};
    if (!own.kept_ && ::lstat(own.path_.c_str(), &what) == 0 && what.st_dev == own.device_ &&
        what.st_ino == own.inode_)
        ::unlink(own.path_.c_str());
}

}  // namespace vmm
