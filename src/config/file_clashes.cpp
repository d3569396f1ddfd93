// SPDX-License-Identifier: Apache-2.0
#include "config/file_clashes.hpp"

#include <sys/stat.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

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

enum class Use : std::uint8_t { Read, ReadonlyDisk, Disk, Ram, Output };

struct File {
    std::string who;  ///< "disks[0] (--disk)"
    Use use = Use::Read;
    const std::string& path;
    Identity identity;
    bool is_open = false;  ///< a descriptor that we were given: /dev/stdout
};

class Files {
public:
    void add(std::string who, Use use, const std::string& path) {
        if (!path.empty())
            all_.push_back({std::move(who), use, path, identity_of(path),
                            use == Use::Output && named_descriptor(path)});
    }
    const std::vector<File>& all() const { return all_; }

private:
    std::vector<File> all_;
};

bool may_clash(const VmConfig& config, const OtherFiles& others) {
    return config.disks.size() > 1 || !config.memory.file.empty() || !config.serial.file.empty() ||
           !config.console.file.empty() || !config.console_ports.empty() || !others.log.empty() ||
           !others.pid.empty() || !config.serial.link.empty() || !config.console.link.empty();
}

Files files_of(const VmConfig& config, const OtherFiles& others) {
    Files files;
    if (others.config != "-")
        files.add("the configuration (--config)", Use::Read, others.config);
    files.add("payload.kernel (--kernel)", Use::Read, config.payload.kernel);
    files.add("payload.firmware (--firmware)", Use::Read, config.payload.firmware);
    for (const auto& archive : config.payload.initramfs)
        files.add("payload.initramfs (--initramfs)", Use::Read, archive);
    if (config.rng)
        files.add("rng.src (--rng)", Use::Read, config.rng->src);
    for (std::size_t i = 0; i < config.disks.size(); ++i)
        files.add(cat("disks[", i, "] (--disk)"),
                  config.disks[i].readonly ? Use::ReadonlyDisk : Use::Disk, config.disks[i].path);
    files.add("memory.file (--memory)", Use::Ram, config.memory.file);
    files.add("serial.file (--serial)", Use::Output, config.serial.file);
    files.add("console.file (--console)", Use::Output, config.console.file);
    for (std::size_t i = 0; i < config.console_ports.size(); ++i)
        files.add(cat("console_ports[", i, "].file (--console-port)"), Use::Output,
                  config.console_ports[i].file);
    files.add("the log (--log-file)", Use::Output, others.log);
    files.add("the process id (--pid-file)", Use::Output, others.pid);
    return files;
}

Error clash(const File& first, const File& second, std::string_view why, std::string advice) {
    const auto names = first.path == second.path
                           ? in_quotes(first.path)
                           : cat(in_quotes(first.path), " and ", in_quotes(second.path));
    return Error{ErrorKind::Config,
                 cat(first.who, " and ", second.who, " are the same file", why, ": ", names)}
        .hint(std::move(advice));
}

/// `second` comes behind `first` in the order of their uses.
Result<> check_pair(const File& first, const File& second) {
    if (first.identity.kind == Identity::Kind::Any || first.identity != second.identity)
        return {};
    // Several that write to what is open already go on behind each other.
    if (first.is_open && second.is_open)
        return {};
    if (second.use == Use::Output)
        return std::unexpected(clash(first, second, "",
                                     first.use == Use::Output
                                         ? "Give each a file of its own."
                                         : cat("Name another file for ", second.who,
                                               ": the output would destroy what is in this one.")));
    if (second.use == Use::Ram)
        return std::unexpected(clash(first, second, "", "Give the guest's RAM a file of its own."));
    if (second.use >= Use::ReadonlyDisk && first.use >= Use::ReadonlyDisk &&
        (second.use == Use::Disk || first.use == Use::Disk))
        return std::unexpected(clash(first, second, ", which one of them may write to",
                                     "Give each disk a file of its own, or both readonly=on."));
    return {};
}

/// A link that is to be made takes the place of whatever has its name, so names count here, not
/// what they lead to.
Result<> check_link(std::string_view who, const std::string& link, const Files& files) {
    if (link.empty())
        return {};
    const auto place = real_path(link);
    for (const File& file : files.all())
        if (real_path(file.path) == place)
            return std::unexpected(Error{
                ErrorKind::Config, cat(who, " is the name of ", file.who, ": ", in_quotes(link))}
                                       .hint("Give the link a name of its own."));
    return {};
}

Result<> check_links(const VmConfig& config, const Files& files) {
    VMM_TRY(check_link("serial.link (--serial)", config.serial.link, files));
    VMM_TRY(check_link("console.link (--console)", config.console.link, files));
    for (std::size_t i = 0; i < config.console_ports.size(); ++i)
        VMM_TRY(check_link(cat("console_ports[", i, "].link (--console-port)"),
                           config.console_ports[i].link, files));
    return {};
}

}  // namespace

Result<> check_files(const VmConfig& config, const OtherFiles& others) {
    if (!may_clash(config, others))
        return {};
    const auto files = files_of(config, others);
    VMM_TRY(check_links(config, files));
    for (std::size_t i = 1; i < files.all().size(); ++i)
        for (std::size_t k = 0; k < i; ++k)
            VMM_TRY(check_pair(files.all()[k], files.all()[i]));
    return {};
}

}  // namespace vmm::config
