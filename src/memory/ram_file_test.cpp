// SPDX-License-Identifier: Apache-2.0
// RAM from a file: zero at every start, reserved before the guest starts, left as it was by a start
// that fails, and every refusal with a way out.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <sstream>

#include "memory/guest_ram.hpp"
#include "memory/host_memory.hpp"
#include "vmm/text.hpp"

namespace vmm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr std::array kRanges{GpaRange{Gpa{0}, 2 * kMiB}, GpaRange{Gpa{8 * kMiB}, 2 * kMiB}};
constexpr std::uint64_t kSize = 4 * kMiB;

Result<std::unique_ptr<GuestRam>> create(const std::string& path, RamSettings settings = {}) {
    settings.file = path;
    return GuestRam::create(kRanges, settings);
}

std::string error_of(const std::string& path, std::span<const GpaRange> ranges = kRanges) {
    const auto ram = GuestRam::create(ranges, {.file = path});
    return ram ? "" : ram.error().report();
}

void fill_file(const std::string& path, std::uint64_t size, char content = 'w') {
    std::ofstream{path} << std::string(size, content);
}

std::string content_of(const std::string& path) {
    std::ifstream file{path};
    return (std::ostringstream{} << file.rdbuf()).str();
}

bool exists(const std::string& path) {
    return ::access(path.c_str(), F_OK) == 0;
}

struct stat status_of(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status;
}

bool is_zero(const GuestRam& ram) {
    const std::span bytes{ram.regions()[0].host, ram.size()};  // all of it lies in one piece
    return bytes[0] == std::byte{0} &&
           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

void fill(GuestRam& ram, unsigned char value) {
    for (const MemoryRegion& region : ram.regions())
        std::memset(region.host, value, region.range.size);
}

class RamFileTest : public testing::Test {
protected:
    void SetUp() override { ASSERT_NE(::mkdtemp(folder.data()), nullptr); }
    ~RamFileTest() override {
        if (mounted_)
            ::umount2(folder.c_str(), MNT_DETACH);
        ::unlink(path().c_str());
        ::rmdir(folder.c_str());
    }

    std::string path() const { return folder + "/ram"; }

    /// On `folder`, seen by this process only; false where that is not allowed.
    bool mount(const char* type, const char* options) {
        mounted_ = ::unshare(CLONE_NEWNS) == 0 &&
                   ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                   ::mount("none", folder.c_str(), type, 0, options) == 0;
        return mounted_;
    }

    std::string folder = testing::TempDir() + "ramXXXXXX";

private:
    bool mounted_ = false;
};

/// An ordinary file system, the memory of /dev/shm, and one that can neither reserve nor drop.
class RamFileKindTest : public RamFileTest, public testing::WithParamInterface<std::string> {
protected:
    void SetUp() override {
        RamFileTest::SetUp();
        if (GetParam() != "disk" && !mount(GetParam().c_str(), ""))
            GTEST_SKIP() << "mounting needs root";
    }
};
INSTANTIATE_TEST_SUITE_P(Kinds, RamFileKindTest, testing::Values("disk", "tmpfs", "ramfs"),
                         [](const auto& kind) { return kind.param; });

TEST_P(RamFileKindTest, WhatWasInTheFileIsGoneWhenTheMachineStarts) {
    fill_file(path(), kSize);
    for (const bool prefault : {false, true}) {
        auto ram = create(path(), {.prefault = prefault});
        ASSERT_TRUE(ram) << ram.error().report();

        ASSERT_TRUE((*ram)->clear());

        EXPECT_TRUE(is_zero(**ram));
        fill(**ram, 0xaa);
        (*ram)->keep_file();
    }
    EXPECT_EQ(content_of(path()), std::string(kSize, '\xaa'));
}

TEST_P(RamFileKindTest, ResetMakesItZeroAgain) {
    auto ram = create(path());
    ASSERT_TRUE(ram) << ram.error().report();
    ASSERT_TRUE((*ram)->clear());
    for (int i = 0; i < 2; ++i) {
        fill(**ram, 0xaa);

        ASSERT_TRUE((*ram)->clear());

        EXPECT_TRUE(is_zero(**ram)) << i;
    }
}

TEST_P(RamFileKindTest, GuestAndFileAreTheSameBytes) {
    auto ram = create(path());  // without shared=on
    ASSERT_TRUE(ram) << ram.error().report();
    EXPECT_TRUE((*ram)->write(Gpa{8 * kMiB}, std::uint32_t{0x64636261}));

    EXPECT_EQ(content_of(path()).substr(2 * kMiB, 4), "abcd");
    EXPECT_TRUE((*ram)->regions()[1].shared);
    EXPECT_GE((*ram)->regions()[1].fd, 0);
    EXPECT_EQ((*ram)->regions()[1].fd_offset, 2 * kMiB);
}

TEST_P(RamFileKindTest, WhatLiesBehindRamInALongerFileStays) {
    fill_file(path(), kSize + 3);
    auto ram = create(path());
    ASSERT_TRUE(ram) << ram.error().report();

    ASSERT_TRUE((*ram)->clear());

    EXPECT_EQ(content_of(path()), std::string(kSize, '\0') + "www");
}

TEST_P(RamFileKindTest, StartThatFailsLeavesTheFileAsItWas) {
    const auto fail_to_start = [&] { EXPECT_TRUE(create(path())); };

    fail_to_start();
    EXPECT_FALSE(exists(path()));

    fill_file(path(), 0);
    fail_to_start();
    EXPECT_EQ(status_of(path()).st_size, 0);

    fill_file(path(), kSize);
    fail_to_start();
    EXPECT_EQ(content_of(path()), std::string(kSize, 'w'));
}

TEST_P(RamFileKindTest, SecondMachineIsTurnedAway) {
    auto ram = create(path());
    ASSERT_TRUE(ram) << ram.error().report();
    EXPECT_TRUE((*ram)->write(Gpa{0}, std::uint32_t{7}));

    EXPECT_EQ(error_of(path()),
              cat("error: memory: ", path(),
                  " is in use: another machine, or another program, holds a lock on it\n"
                  "  help: Give each machine a file of its own, or stop the other one.\n"));

    EXPECT_EQ((*ram)->read<std::uint32_t>(Gpa{0}), 7u);
    EXPECT_TRUE(exists(path()));
    ram->reset();
    EXPECT_EQ(error_of(path()), "");
}

std::uint64_t reserved(const std::string& path) {
    return static_cast<std::uint64_t>(status_of(path).st_blocks) * 512;
}

TEST_F(RamFileTest, SpaceIsReservedBeforeTheGuestStartsAndAfterAReset) {
    for (const auto& where : {folder, std::string{"/dev/shm"}}) {
        const auto file = cat(where, "/vmm-ram-", ::getpid());
        auto ram = create(file);
        ASSERT_TRUE(ram) << ram.error().report();
        EXPECT_GE(reserved(file), kSize);
        EXPECT_TRUE((*ram)->clear());
        fill(**ram, 1);

        EXPECT_TRUE((*ram)->clear());

        EXPECT_GE(reserved(file), kSize);
    }
}

TEST_F(RamFileTest, HolesOfAFileThatIsThereAreReservedToo) {
    fill_file(path(), 0);
    ASSERT_EQ(::truncate(path().c_str(), kSize), 0);

    const auto ram = create(path());

    ASSERT_TRUE(ram) << ram.error().report();
    EXPECT_GE(reserved(path()), kSize);
}

TEST_F(RamFileTest, FileIsForItsOwnerOnly) {
    const auto ram = create(path());

    ASSERT_TRUE(ram) << ram.error().report();
    EXPECT_EQ(status_of(path()).st_mode & 0777, 0600u);
}

TEST_F(RamFileTest, FileThatAnotherOneReplacedMeanwhileIsNotRemoved) {
    auto ram = create(path());
    ASSERT_TRUE(ram) << ram.error().report();
    ::unlink(path().c_str());
    fill_file(path(), 3);

    ram->reset();

    EXPECT_EQ(content_of(path()), "www");
}

TEST_F(RamFileTest, LinkIsFollowedAndStays) {
    const auto link = folder + "/link";
    ASSERT_EQ(::symlink("ram", link.c_str()), 0);

    EXPECT_EQ(error_of(link), "");

    EXPECT_EQ(status_of(path()).st_size, 0);  // its own name was not given
    EXPECT_TRUE(exists(link));
    ::unlink(link.c_str());
}

// ---- no room -------------------------------------------------------------------------------

TEST_F(RamFileTest, FileSystemThatIsTooSmallIsAnErrorBeforeTheStart) {
    if (!mount("tmpfs", "size=1M"))
        GTEST_SKIP() << "mounting needs root";

    const auto ram = create(path());

    ASSERT_FALSE(ram);
    EXPECT_EQ(ram.error().kind(), ErrorKind::Os);
    EXPECT_EQ(ram.error().report(),
              cat("error: memory: reserve 4 MiB for ", path(),
                  ": its file system has 1 MiB free\n"
                  "  help: Mount the tmpfs with a larger size=, or give the guest less with "
                  "--memory SIZE.\n"));
    EXPECT_FALSE(exists(path()));
}

TEST_F(RamFileTest, WhatTheFileHasAlreadyCountsAsItsOwn) {
    if (!mount("tmpfs", "size=5M"))
        GTEST_SKIP() << "mounting needs root";
    fill_file(path(), kSize);  // 1 MiB is left

    for (int i = 0; i < 2; ++i) {
        const auto ram = create(path());
        ASSERT_TRUE(ram) << ram.error().report();
        EXPECT_TRUE((*ram)->clear());
        fill(**ram, 1);
        EXPECT_TRUE((*ram)->clear());
    }
}

TEST_F(RamFileTest, LimitOnTheSizeOfFilesSaysSo) {
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    const rlimit low{.rlim_cur = kMiB, .rlim_max = before.rlim_max};
    auto* const old = ::signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &low), 0);

    const auto of_file = error_of(path());
    const auto memfd = GuestRam::create(kRanges, {.shared = true});
    const auto of_memfd = memfd ? "" : memfd.error().report();

    ::setrlimit(RLIMIT_FSIZE, &before);
    ::signal(SIGXFSZ, old);
    EXPECT_THAT(of_file, AllOf(HasSubstr("make " + path() + " as large as RAM, 4 MiB: ftruncate"),
                               HasSubstr("help: Raise the limit on the size of files")));
    EXPECT_THAT(of_memfd, AllOf(HasSubstr("memory: share 4 MiB of RAM: ftruncate"),
                                HasSubstr("help: Raise the limit on the size of files")));
    EXPECT_FALSE(exists(path()));
}

TEST_F(RamFileTest, FileInMemoryIsHeldToWhatTheHostHas) {
    struct sysinfo host {};
    ASSERT_EQ(::sysinfo(&host), 0);
    const auto has = (std::uint64_t{host.totalram} + host.totalswap) * host.mem_unit;
    const std::array more{GpaRange{Gpa{0}, (has / kMiB + 1) * kMiB}};
    const auto file = cat("/dev/shm/vmm-ram-", ::getpid());

    EXPECT_THAT(error_of(file, more),
                AllOf(HasSubstr("the guest is to have "), HasSubstr(", this host has "),
                      HasSubstr("help: Give the guest less")));
    EXPECT_FALSE(exists(file));
}

// ---- huge pages ----------------------------------------------------------------------------

TEST_F(RamFileTest, RamOnHugetlbfsIsMadeOfWholePages) {
    if (!mount("hugetlbfs", "pagesize=2M"))
        GTEST_SKIP() << "mounting needs root, and huge pages of 2 MiB";
    constexpr std::array odd{GpaRange{Gpa{0}, 33 * kMiB}};

    EXPECT_EQ(error_of(path(), odd),
              cat("error: memory: 33 MiB of RAM cannot be made of the huge pages of 2 MiB of the "
                  "file system that ",
                  path(), " is on\n",
                  "  help: Give the guest a multiple of 2 MiB, such as 32 MiB or 34 MiB.\n"));
    EXPECT_FALSE(exists(path()));
}

TEST_F(RamFileTest, HugetlbfsWithTooFewPagesSaysHowManyThereMustBe) {
    if (!mount("hugetlbfs", "pagesize=2M"))
        GTEST_SKIP() << "mounting needs root, and huge pages of 2 MiB";
    constexpr std::array large{GpaRange{Gpa{0}, std::uint64_t{1} << 40}};

    const auto ram = GuestRam::create(large, {.file = path()});

    ASSERT_FALSE(ram);
    EXPECT_EQ(ram.error().kind(), ErrorKind::Os);
    EXPECT_THAT(ram.error().report(),
                AllOf(HasSubstr("memory: reserve 524288 huge pages of 2 MiB, of which "),
                      HasSubstr("help: Make the pool larger with `echo "),
                      HasSubstr(" > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")));
    EXPECT_FALSE(exists(path()));
}

// Whether there is such a page or not, the mapping has to be aligned to it.
TEST_F(RamFileTest, LargestHugePagesAreMappedAtTheirAlignment) {
    if (!mount("hugetlbfs", "pagesize=1G"))
        GTEST_SKIP() << "mounting needs root, and huge pages of 1 GiB";
    constexpr std::array one{GpaRange{Gpa{0}, std::uint64_t{1} << 30}};

    const auto ram = GuestRam::create(one, {.file = path()});

    if (ram)
        EXPECT_EQ(std::bit_cast<std::uintptr_t>((*ram)->regions()[0].host) % (1 << 30), 0u);
    else
        EXPECT_THAT(ram.error().report(), HasSubstr("reserve 1 huge pages of 1 GiB"));
}

// ---- files that cannot be RAM ----------------------------------------------------------------

TEST_F(RamFileTest, DirectoryIsRefusedWithANameInIt) {
    EXPECT_EQ(error_of(folder),
              cat("error: memory: ", folder, " is a directory, RAM is one file\n",
                  "  help: Name a file in it, such as ", folder, "/guest-ram.\n"));
}

TEST_F(RamFileTest, WhatIsNoRegularFileIsRefused) {
    ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);

    EXPECT_THAT(error_of(path()), AllOf(HasSubstr(path() + " is a pipe or a socket, RAM is"),
                                        HasSubstr("help: Name another file")));
    EXPECT_THAT(error_of("/dev/null"), HasSubstr("/dev/null is a character device, RAM is"));
}

TEST_F(RamFileTest, FileInNoDirectoryIsRefused) {
    const auto file = folder + "/none/ram";

    const auto ram = create(file);

    ASSERT_FALSE(ram);
    EXPECT_EQ(ram.error().kind(), ErrorKind::Config);
    EXPECT_EQ(ram.error().report(),
              cat("error: memory: open ", file,
                  " as the guest's RAM: open: No such file or directory (errno 2)\n"
                  "  help: Make the directory first: the file itself is made if it is not "
                  "there.\n"));
    EXPECT_THAT(error_of("/dev/null/ram"), HasSubstr("a component of it is not a directory"));
}

TEST_F(RamFileTest, FileThatMayNotBeWrittenIsRefused) {
    fill_file(path(), kSize);
    ASSERT_EQ(::chmod(path().c_str(), 0444), 0);
    ASSERT_EQ(::chmod(folder.c_str(), 0755), 0);
    const bool root = ::geteuid() == 0;  // who may write to everything
    if (root && ::seteuid(65534) != 0)
        GTEST_SKIP() << "root may write to everything, and cannot become somebody else";

    const auto text = error_of(path());

    EXPECT_TRUE(!root || ::seteuid(0) == 0);
    EXPECT_THAT(text, AllOf(HasSubstr("open " + path() + " as the guest's RAM: open: Permission"),
                            HasSubstr("help: Give the user who runs vmm write access")));
}

TEST_F(RamFileTest, FileThatIsTooSmallIsRefusedWithTheWayOut) {
    fill_file(path(), 5);

    const auto ram = create(path());

    ASSERT_FALSE(ram);
    EXPECT_EQ(ram.error().kind(), ErrorKind::Config);
    EXPECT_EQ(ram.error().report(),
              cat("error: memory: ", path(), " has 5 bytes, the guest is to have 4 MiB\n",
                  "  help: Make it larger with `truncate -s 4194304 ", path(),
                  "`, or name a file that does not exist yet.\n"));
    EXPECT_EQ(content_of(path()), "wwwww");
}

}  // namespace
}  // namespace vmm
