// SPDX-License-Identifier: Apache-2.0
// Every file that the fuzzer starts from, in every way that its first byte can choose: what it
// found once stays found, in every build. A crash of a decoder ends the test program.
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "x86_64/loader_fuzz_body.hpp"
#include "x86_64/synthetic_kernel.hpp"

namespace vmm::x86_64 {
namespace {

using test::ByteVector;

struct CorpusFile {
    std::string name;
    ByteVector bytes;
};

std::vector<CorpusFile> corpus() {
    std::vector<CorpusFile> files;
    for (const auto& entry : std::filesystem::directory_iterator{VMM_LOADER_CORPUS}) {
        std::ifstream stream{entry.path(), std::ios::binary};
        const std::string text{std::istreambuf_iterator<char>{stream}, {}};
        const auto bytes = std::as_bytes(std::span{text});
        files.push_back({entry.path().filename(), {bytes.begin(), bytes.end()}});
    }
    return files;
}

TEST(LoaderCorpusTest, EveryFileIsRefusedOrLoadedWithinRam) {
    constexpr std::array<std::uint8_t, 6> kWays{0, 1, 2, 0x80, 0x81, 0x82};
    auto files = corpus();
    ASSERT_GE(files.size(), 10U);
    for (CorpusFile& file : files)
        for (const std::uint8_t way : kWays) {
            SCOPED_TRACE(file.name);
            file.bytes.at(0) = static_cast<std::byte>(way);
            EXPECT_TRUE(test::refused_or_within_ram(file.bytes));
        }
}

// Else the fuzzer would have to find out by itself what a kernel is.
TEST(LoaderCorpusTest, ItHasAKernelOfEveryKind) {
    std::set<std::string> kinds;
    for (const CorpusFile& file : corpus()) {
        const test::MemoryFile content{std::span{file.bytes}.subspan(1)};
        if (const auto kernel = KernelFile::open(content.path()))
            kinds.insert(kernel->describe());
    }
    EXPECT_THAT(
        kinds, ::testing::IsSupersetOf(
                   {"ELF with PVH note", "ELF without PVH note", "ELF compressed with gzip",
                    "ELF compressed with zstd", "ELF compressed with xz", "ELF compressed with LZ4",
                    "bzImage 6.99.0-synthetic, boot protocol 2.15, gzip payload",
                    "bzImage 6.99.0-synthetic, boot protocol 2.15, zstd payload",
                    "bzImage 6.99.0-synthetic, boot protocol 2.15, xz payload",
                    "bzImage 6.99.0-synthetic, boot protocol 2.15, LZ4 payload"}));
}

}  // namespace
}  // namespace vmm::x86_64
