// SPDX-License-Identifier: Apache-2.0
#include "payload/initramfs.hpp"

#include "vmm/text.hpp"

namespace vmm {
namespace {

std::uint64_t padded(std::uint64_t size) {
    return (size + 3) & ~std::uint64_t{3};
}

}  // namespace

Result<std::vector<BootFile>> open_initramfs(std::span<const std::string> paths) {
    std::vector<BootFile> archives;
    for (const std::string& path : paths)
        archives.push_back(VMM_TRY(BootFile::open(path, "initramfs")));
    return archives;
}

std::uint64_t initramfs_size(std::span<const BootFile> archives) {
    std::uint64_t size = 0;
    for (const BootFile& file : archives)
        size = padded(size) + file.size();
    return size;
}

std::string initramfs_names(std::span<const BootFile> archives) {
    std::string names;
    for (const BootFile& file : archives)
        names += cat(names.empty() ? "" : ", ", file.path());
    return names;
}

Result<> read_initramfs(std::span<const BootFile> archives, GuestMemory& memory, Gpa at) {
    std::uint64_t offset = 0;
    for (const BootFile& file : archives) {
        for (; offset % 4 != 0; ++offset)
            if (!memory.write(Gpa{at.value() + offset}, std::byte{0}))
                return std::unexpected(Error{ErrorKind::Config, "no memory for the initramfs"});
        VMM_TRY(file.read(0, file.size(), memory, Gpa{at.value() + offset}));
        offset += file.size();
    }
    return {};
}

}  // namespace vmm
