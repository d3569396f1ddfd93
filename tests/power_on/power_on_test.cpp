// SPDX-License-Identifier: Apache-2.0
// What loading leaves in guest RAM is the same whatever RAM is made of and whatever was in it
// before: for every kind of payload, on a first start, on a second one and after a reset.
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "memory/guest_ram.hpp"
#include "vmm/text.hpp"
#include "x86_64/layout.hpp"
#include "x86_64/loader.hpp"
#include "x86_64/synthetic_kernel.hpp"

namespace vmm::x86_64 {
namespace {

using test::ByteVector;
using test::MemoryFile;

constexpr std::uint64_t kRam = 32 * kMiB;

struct FixedEntropy final : EntropySource {
    void fill(std::span<std::byte> out) noexcept override { std::ranges::fill(out, std::byte{5}); }
};

/// Segments nearer together in memory than in the file, zeros in the file, and a tail of zeros.
test::SyntheticElf linux_elf() {
    return {.entry = 0x100'0040,
            .segments = {{.offset = 0x20'0000,
                          .physical = 0x100'0000,
                          .file_size = 0x18'0000,
                          .memory_size = 0x18'0000,
                          .fill = 'A'},
                         {.offset = 0x40'0000,
                          .physical = 0x120'0000,
                          .file_size = 0x10'0000,
                          .memory_size = 0x3f'f000,
                          .fill = '\0'}},
            .section_table = true};
}

ByteVector elf_linux() {
    return test::make_elf(linux_elf());
}
ByteVector elf_pvh() {
    auto elf = linux_elf();
    elf.pvh_entry = 0x100'0020;
    return test::make_elf(elf);
}
template <Compression kBy>
ByteVector packed_pvh() {
    return test::pack(kBy, elf_pvh());
}
template <Compression kBy>
ByteVector bzimage() {
    return test::make_bzimage({.init_size = 0x80'0000, .compression = kBy, .payload = elf_linux()});
}

struct Payload {
    const char* name;
    ByteVector (*make)();
    PayloadUnpack unpack = PayloadUnpack::Auto;
    bool kaslr = false;
};

class PowerOnTest : public testing::TestWithParam<Payload> {
protected:
    PowerOnTest() {
        kernel_.emplace(KernelFile::open(MemoryFile{GetParam().make()}.path()).value());
        initramfs_.push_back(
            BootFile::open(MemoryFile{std::string_view{"12345"}}.path(), "initramfs").value());
        initramfs_.push_back(
            BootFile::open(MemoryFile{std::string_view{"678"}}.path(), "initramfs").value());
    }
    ~PowerOnTest() override { ::unlink(path.c_str()); }

    std::unique_ptr<GuestRam> ram(const RamSettings& settings = {}) {
        return GuestRam::create(ram_ranges(kRam).all(), settings).value();
    }

    /// As the machine does it.
    void load(GuestRam& ram, std::string_view command_line = "quiet") {
        ASSERT_TRUE(ram.clear());
        const auto entry = x86_64::load(*kernel_,
                                        {.ram_size = kRam,
                                         .initramfs = initramfs_,
                                         .command_line = command_line,
                                         .unpack = GetParam().unpack,
                                         .kaslr = GetParam().kaslr,
                                         .entropy = &entropy_},
                                        ram);
        ASSERT_TRUE(entry.has_value()) << entry.error().report();
    }

    /// The address of the first byte that differs; kRam if none does.
    static std::uint64_t first_difference(const GuestRam& a, const GuestRam& b) {
        const std::span ours{a.regions()[0].host, kRam};
        const std::span theirs{b.regions()[0].host, kRam};
        if (std::memcmp(ours.data(), theirs.data(), kRam) == 0)
            return kRam;
        return static_cast<std::uint64_t>(std::ranges::mismatch(ours, theirs).in1 - ours.begin());
    }

    static void make_dirty(GuestRam& ram) { std::memset(ram.regions()[0].host, 0xaa, kRam); }

    std::string path = cat(testing::TempDir(), "vmm-power-on-", ::getpid());

private:
    FixedEntropy entropy_;
    std::optional<KernelFile> kernel_;
    std::vector<BootFile> initramfs_;
};

constexpr std::array kPayloads{
    Payload{"BzImageAsIs", bzimage<Compression::Zstd>, PayloadUnpack::Off},
    Payload{"BzImageZstd", bzimage<Compression::Zstd>, PayloadUnpack::On},
    Payload{"BzImageZstdKaslr", bzimage<Compression::Zstd>, PayloadUnpack::On, true},
    Payload{"BzImageGzip", bzimage<Compression::Gzip>, PayloadUnpack::On},
    Payload{"BzImageXz", bzimage<Compression::Xz>, PayloadUnpack::On},
    Payload{"BzImageLz4", bzimage<Compression::Lz4Legacy>, PayloadUnpack::On},
    Payload{"ElfLinux", elf_linux},
    Payload{"ElfPvh", elf_pvh},
    Payload{"PackedPvhZstd", packed_pvh<Compression::Zstd>},
    Payload{"PackedPvhLz4Frame", packed_pvh<Compression::Lz4Frame>},
};
INSTANTIATE_TEST_SUITE_P(Payloads, PowerOnTest, testing::ValuesIn(kPayloads),
                         [](const auto& payload) { return std::string{payload.param.name}; });

TEST_P(PowerOnTest, StartOnAFileThatIsFullOfOnesIsOneOnFreshMemory) {
    const auto fresh = ram();
    load(*fresh);
    std::ofstream{path} << std::string(kRam, '\xaa');
    for (int start = 0; start < 2; ++start) {
        const auto used = ram({.file = path});
        load(*used);

        EXPECT_EQ(first_difference(*used, *fresh), kRam) << start;

        make_dirty(*used);
        used->keep_file();
    }
}

TEST_P(PowerOnTest, StartAfterAResetIsOneOnFreshMemory) {
    const auto fresh = ram();
    load(*fresh);
    for (const RamSettings& settings :
         {RamSettings{}, RamSettings{.shared = true}, RamSettings{.file = path}}) {
        const auto used = ram(settings);
        load(*used, "a command line that is longer than the next one");
        make_dirty(*used);
        load(*used, "this one is longer too");

        load(*used);

        EXPECT_EQ(first_difference(*used, *fresh), kRam) << settings.shared << settings.file;
    }
}

}  // namespace
}  // namespace vmm::x86_64
