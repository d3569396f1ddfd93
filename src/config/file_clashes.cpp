// SPDX-License-Identifier: Apache-2.0
#include "config/file_clashes.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "config/file_list.hpp"
#include "config/kinds/kinds.hpp"
#include "config/suggest.hpp"
#include "vmm/named_descriptor.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

/// What makes two names those of one file.
struct Identity {
    enum class Kind : std::uint8_t {
        Any,     ///< a device such as /dev/null, which takes what comes from everybody
        Inode,   ///< `place` and `number` are its file system and inode
        Device,  ///< a block device, whose number is `place`
        Path,    ///< not there yet
    };

    Kind kind = Kind::Any;
    std::uint64_t place = 0;
    std::uint64_t number = 0;
    std::string path;

    bool operator==(const Identity&) const = default;
};

/// Of a file that is not there: what its folder is really called, and its name.
std::string real_path(const std::string& path) {
    const auto slash = path.rfind('/');
    const auto folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const std::unique_ptr<char, decltype(&std::free)> real{::realpath(folder.c_str(), nullptr),
                                                           &std::free};
    if (!real)
        return path;
    return cat(real.get(), "/", path.substr(slash == std::string::npos ? 0 : slash + 1));
}

Identity identity_of(const std::string& path) {
    using Kind = Identity::Kind;
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0)
        return {.kind = Kind::Path, .path = real_path(path)};
    if (S_ISCHR(status.st_mode))
        return {};
    if (S_ISBLK(status.st_mode))
        return {.kind = Kind::Device, .place = status.st_rdev};
    return {.kind = Kind::Inode, .place = status.st_dev, .number = status.st_ino};
}

struct File {
    const NamedFile& named;
    Identity identity;
    bool is_open = false;  ///< a descriptor that we were given: /dev/stdout

    std::string who() const { return named.place.text(); }
    const std::string& path() const { return *named.path; }
};

std::vector<File> identify(const FileList& list) {
    std::vector<File> files;
    files.reserve(list.all().size());
    for (const NamedFile& named : list.all())
        files.push_back({named, identity_of(*named.path),
                         named.use == FileUse::Output && named_descriptor(*named.path)});
    return files;
}

void add_files_of_devices(const VmConfig& config, std::span<const Channel> channels,
                          FileList& files) {
    for (const Key& key : device_keys())
        if (key.device->add_files != nullptr)
            key.device->add_files(config, files);
    for (const Channel& channel : channels)
        files.add(channel.place.with_member("file"), FileUse::Output, channel.file);
}

/// Files that are only read, and one disk, can be the same.
bool may_clash(const VmConfig& config, const OtherFiles& others,
               std::span<const Channel> channels) {
    if (!config.memory.file.empty() || !others.log.empty() || !others.pid.empty() ||
        std::ranges::any_of(channels, [](const Channel& each) { return !each.link.empty(); }))
        return true;
    FileList files;
    add_files_of_devices(config, channels, files);
    const auto is_disk = [](const NamedFile& file) { return file.use >= FileUse::ReadonlyDisk; };
    return std::ranges::count_if(files.all(), is_disk) > 1 ||
           (!files.all().empty() && files.all().back().use == FileUse::Output);
}

FileList files_of(const VmConfig& config, const OtherFiles& others,
                  std::span<const Channel> channels) {
    FileList files;
    if (others.config != "-")
        files.add({.key = "the configuration", .flag = "--config"}, FileUse::Read, others.config);
    const auto add_payload = [&files](std::string_view member, std::string_view flag,
                                      const std::string& path) {
        files.add({.key = "payload", .member = member, .flag = flag}, FileUse::Read, path);
    };
    add_payload("kernel", "--kernel", config.payload.kernel);
    add_payload("firmware", "--firmware", config.payload.firmware);
    for (const auto& archive : config.payload.initramfs)
        add_payload("initramfs", "--initramfs", archive);
    files.add({.key = "memory", .member = "file", .flag = "--memory"}, FileUse::Ram,
              config.memory.file);
    add_files_of_devices(config, channels, files);
    files.add({.key = "the log", .flag = "--log-file"}, FileUse::Output, others.log);
    files.add({.key = "the process id", .flag = "--pid-file"}, FileUse::Output, others.pid);
    return files;
}

Error clash(const File& first, const File& second, std::string_view why, std::string advice) {
    const auto names = first.path() == second.path()
                           ? in_quotes(first.path())
                           : cat(in_quotes(first.path()), " and ", in_quotes(second.path()));
    return Error{ErrorKind::Config,
                 cat(first.who(), " and ", second.who(), " are the same file", why, ": ", names)}
        .hint(std::move(advice));
}

/// `second` comes after `first` in the order of their uses.
Result<> check_pair(const File& first, const File& second) {
    if (first.identity.kind == Identity::Kind::Any || first.identity != second.identity)
        return {};
    // Several that write to what is open already follow one another.
    if (first.is_open && second.is_open)
        return {};
    if (second.named.use == FileUse::Output)
        return std::unexpected(clash(first, second, "",
                                     first.named.use == FileUse::Output
                                         ? "Give each a file of its own."
                                         : cat("Name another file for ", second.who(),
                                               ": the output would destroy what is in this one.")));
    if (second.named.use == FileUse::Ram)
        return std::unexpected(clash(first, second, "", "Give the guest's RAM a file of its own."));
    if (second.named.use >= FileUse::ReadonlyDisk && first.named.use >= FileUse::ReadonlyDisk &&
        (second.named.use == FileUse::Disk || first.named.use == FileUse::Disk))
        return std::unexpected(clash(first, second, ", which one of them may write to",
                                     "Give each disk a file of its own, or both readonly=on."));
    return {};
}

/// A link that is to be made takes the place of whatever has its name, so names count here, not
/// what they lead to.
Result<> check_link(const Channel& channel, std::span<const File> files) {
    if (channel.link.empty())
        return {};
    const auto place = real_path(channel.link);
    for (const File& file : files)
        if (real_path(file.path()) == place)
            return std::unexpected(Error{
                ErrorKind::Config, cat(channel.place.with_member("link").text(), " is the name of ",
                                       file.who(), ": ", in_quotes(channel.link))}
                                       .hint("Give the link a name of its own."));
    return {};
}

}  // namespace

Result<> check_files(const VmConfig& config, const OtherFiles& others) {
    const auto channels = channels_of(config);
    if (!may_clash(config, others, channels))
        return {};
    const auto list = files_of(config, others, channels);
    const auto files = identify(list);
    for (const Channel& channel : channels)
        VMM_TRY(check_link(channel, files));
    for (std::size_t i = 1; i < files.size(); ++i)
        for (std::size_t k = 0; k < i; ++k)
            VMM_TRY(check_pair(files[k], files[i]));
    return {};
}

}  // namespace vmm::config
