// SPDX-License-Identifier: Apache-2.0
#include "config/suggest.hpp"

#include <algorithm>
#include <array>

#include "vmm/text.hpp"

namespace vmm::config {
namespace {

constexpr std::size_t kLongestName = 32;

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c == '-' ? '_' : c;
}

/// Edits that make one of the other, where two neighbours changing places count as one edit.
std::size_t distance(std::string_view a, std::string_view b) {
    using Row = std::array<std::size_t, kLongestName + 1>;
    Row before{};
    Row last{};
    Row now{};
    for (std::size_t j = 0; j <= b.size(); ++j)
        last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        now[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const bool same = lower(a[i - 1]) == lower(b[j - 1]);
            now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]))
                now[j] = std::min(now[j], before[j - 2] + 1);
        }
        before = last;
        last = now;
    }
    return last[b.size()];
}

struct Synonym {
    std::string_view theirs;
    std::string_view ours;
};

/// Keys and values as QEMU, Firecracker, libvirt and Docker have them.
constexpr auto kSynonyms = std::array{
    Synonym{"stdio", "tty"},
    Synonym{"mon:stdio", "tty"},
    Synonym{"none", "off"},
    Synonym{"unix", "socket"},
    Synonym{"hostfwd", "publish"},
    Synonym{"ports", "publish"},
    Synonym{"ifname", "tap"},
    Synonym{"host_dev_name", "tap"},
    Synonym{"macaddr", "mac"},
    Synonym{"guest_mac", "mac"},
    Synonym{"iface_id", "id"},
    Synonym{"drive_id", "id"},
    Synonym{"file", "path"},
    Synonym{"path_on_host", "path"},
    Synonym{"is_read_only", "readonly"},
    Synonym{"format", "image_type"},
    Synonym{"vcpu_count", "boot_vcpus"},
    Synonym{"vcpus", "boot_vcpus"},
    Synonym{"mem_size_mib", "size"},
    Synonym{"kernel_image_path", "kernel"},
    Synonym{"initrd_path", "initramfs"},
    Synonym{"initrd", "initramfs"},
    Synonym{"boot_args", "cmdline"},
    Synonym{"append", "cmdline"},
    Synonym{"boot-source", "payload"},
    Synonym{"machine-config", "cpus"},
    Synonym{"drives", "disks"},
    Synonym{"network-interfaces", "net"},
    Synonym{"entropy", "rng"},
};

std::string_view synonym(std::string_view given, std::span<const std::string_view> known) {
    for (const Synonym& each : kSynonyms)
        if (each.theirs == given && std::ranges::find(known, each.ours) != known.end())
            return each.ours;
    return {};
}

}  // namespace

std::string_view nearest(std::string_view given, std::span<const std::string_view> known) {
    constexpr std::size_t kShortest = 3;  // anything is near to a shorter one
    if (given.size() < kShortest || given.size() > kLongestName)
        return {};
    if (const auto same = synonym(given, known); !same.empty())
        return same;
    std::string_view best;
    std::size_t best_distance = std::max<std::size_t>(1, given.size() / 3) + 1;
    for (const auto name : known) {
        if (name.size() > kLongestName)
            continue;
        const bool begins =
            given.size() <= name.size() && distance(given, name.substr(0, given.size())) == 0;
        const auto edits = begins ? 1 : distance(given, name);
        if (edits < best_distance) {
            best = name;
            best_distance = edits;
        }
    }
    return best;
}

std::string suggestion(std::string_view given, std::span<const std::string_view> known,
                       std::string_view kind) {
    return suggestion(given, known, known, kind);
}

std::string suggestion(std::string_view given, std::span<const std::string_view> candidates,
                       std::span<const std::string_view> shown, std::string_view kind) {
    const auto near = nearest(given, candidates);
    const auto all = cat(kind, ": ", listed(shown), ".");
    return near.empty() ? all : cat("Did you mean '", near, "'? ", all);
}

std::string listed(std::span<const std::string_view> names) {
    std::string text;
    for (const auto name : names) {
        text += text.empty() ? "" : ", ";
        text += name;
    }
    return text;
}

std::string in_quotes(std::string_view text) {
    constexpr std::size_t kShown = 100;  // bytes
    std::string shown{text.substr(0, kShown)};
    for (char& c : shown)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
            c = '.';
    return cat("'", shown, text.size() > kShown ? "...'" : "'");
}

}  // namespace vmm::config
