// SPDX-License-Identifier: Apache-2.0
// The files that a configuration names, and what each is for: each kind of device adds its own.
#pragma once

#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include "config/place.hpp"

namespace vmm::config {

enum class FileUse : std::uint8_t { Read, ReadonlyDisk, Disk, Ram, Output };

struct NamedFile {
    Place place;
    FileUse use = FileUse::Read;
    const std::string* path = nullptr;
};

/// In the order of their uses, disks of both uses together; among equals as they were added.
class FileList {
public:
    /// `path` outlives the list. An empty one is not a file.
    void add(const Place& place, FileUse use, const std::string& path) {
        if (path.empty())
            return;
        auto at = all_.end();
        while (at != all_.begin() && rank(std::prev(at)->use) > rank(use))
            --at;
        all_.insert(at, {place, use, &path});
    }

    const std::vector<NamedFile>& all() const { return all_; }

private:
    static FileUse rank(FileUse use) { return use == FileUse::Disk ? FileUse::ReadonlyDisk : use; }

    std::vector<NamedFile> all_;
};

}  // namespace vmm::config
