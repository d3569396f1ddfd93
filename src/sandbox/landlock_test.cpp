// SPDX-License-Identifier: Apache-2.0
#include "sandbox/landlock.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <netinet/in.h>
#include <string>
#include <vector>

#include "sandbox/child_test_support.hpp"
#include "sandbox/privileges.hpp"
#include "vmm/text.hpp"

namespace vmm::sandbox {
namespace {

using testing::ElementsAre;

class LandlockTest : public FolderTest {
protected:
    void SetUp() override {
        FolderTest::SetUp();
        if (landlock_version() == 0)
            GTEST_SKIP() << "this kernel has no Landlock";
    }

    std::string make(const std::string& name) const {
        auto path = folder_ + "/" + name;
        const UniqueFd fd{::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)};
        EXPECT_TRUE(fd);
        return path;
    }
};

/// Those that say something. Unlike arguments of a function, they are made in this order.
std::string in_order(std::initializer_list<std::string> texts) {
    std::string all;
    for (const auto& text : texts)
        if (!text.empty())
            all += cat(all.empty() ? "" : ", ", text);
    return all;
}

std::string why(long result) {
    return result >= 0 ? "works" : ::strerrorname_np(errno);
}

std::string entered(int version, std::span<const PathRule> rules) {
    if (const auto done = forbid_new_privileges(); !done)
        return done.error().one_line();
    const auto landlock = Landlock::prepare(version, rules);
    if (!landlock)
        return landlock.error().one_line();
    const auto done = landlock->enter();
    return done ? "" : done.error().one_line();
}

std::string opened(const std::string& path, int flags) {
    const UniqueFd fd{::open(path.c_str(), flags | O_CLOEXEC, 0600)};
    return why(fd.get());
}

UniqueFd tcp_listener(sockaddr_in& address) {
    UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(fd.get(), 4), 0);
    EXPECT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    return fd;
}

std::string connected_to(const sockaddr_in& address) {
    const UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    return why(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
}

std::string bound_to_any_port() {
    const UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    return why(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
}

TEST_F(LandlockTest, NoPathIsLeft) {
    const auto there = make("there");

    EXPECT_EQ(
        said_in_child([&] {
            const UniqueFd open{::open(there.c_str(), O_RDWR | O_CLOEXEC)};
            return in_order({entered(landlock_version(), {}), cat("open ", opened(there, O_RDONLY)),
                             cat("write ", opened(there, O_WRONLY)),
                             cat("create ", opened(folder_ + "/new", O_CREAT | O_WRONLY)),
                             cat("passwd ", opened("/etc/passwd", O_RDONLY)),
                             cat("list ", opened("/", O_RDONLY | O_DIRECTORY)),
                             cat("mkdir ", why(::mkdir((folder_ + "/d").c_str(), 0700))),
                             cat("unlink ", why(::unlink(there.c_str()))),
                             cat("link ", why(::link(there.c_str(), (there + "2").c_str()))),
                             cat("symlink ", why(::symlink("/", (folder_ + "/s").c_str()))),
                             cat("exec ", why(::execl("/bin/true", "true", nullptr))),
                             cat("own ", why(::write(open.get(), "x", 1)))});
        }),
        "open EACCES, write EACCES, create EACCES, passwd EACCES, list EACCES, mkdir EACCES, "
        "unlink EACCES, link EACCES, symlink EACCES, exec EACCES, own works");
}

TEST_F(LandlockTest, FolderForRemovalIsForNothingElse) {
    const auto there = make("there");
    const std::vector<PathRule> rules{{folder_, PathAccess::Remove, "test"}};

    EXPECT_EQ(said_in_child([&] {
                  return in_order({entered(landlock_version(), rules),
                                   cat("open ", opened(there, O_RDONLY)),
                                   cat("link ", why(::link(there.c_str(), (there + "2").c_str()))),
                                   cat("unlink ", why(::unlink(there.c_str()))),
                                   cat("elsewhere ", why(::unlink("/etc/passwd")))});
              }),
              "open EACCES, link EACCES, unlink works, elsewhere EACCES");
}

TEST_F(LandlockTest, OwnFileCanBeLinkedIntoPlace) {
    const auto aside = make("aside");
    const auto place = folder_ + "/place";
    const std::vector<PathRule> rules{{folder_, PathAccess::Publish, "test"}};

    EXPECT_EQ(said_in_child([&] {
                  return in_order({entered(landlock_version(), rules),
                                   cat("link ", why(::link(aside.c_str(), place.c_str()))),
                                   cat("unlink ", why(::unlink(aside.c_str()))),
                                   cat("read ", opened(place, O_RDONLY)),
                                   cat("write ", opened(place, O_WRONLY)),
                                   cat("gone ", why(::unlink(place.c_str())))});
              }),
              "link works, unlink works, read EACCES, write EACCES, gone works");
}

TEST_F(LandlockTest, RulesAllowWhatTheySay) {
    const auto file = make("file");
    const auto below = folder_ + "/below";
    ASSERT_EQ(::mkdir(below.c_str(), 0700), 0);
    const std::vector<PathRule> rules{{file, PathAccess::Read, "test"},
                                      {below, PathAccess::ReadWrite, "test"},
                                      {"/dev/null", PathAccess::Write, "test"}};

    EXPECT_EQ(said_in_child([&] {
                  return in_order({entered(landlock_version(), rules),
                                   cat("read ", opened(file, O_RDONLY)),
                                   cat("write ", opened(file, O_WRONLY)),
                                   cat("make ", opened(below + "/a", O_CREAT | O_RDWR | O_TRUNC)),
                                   cat("mkdir ", why(::mkdir((below + "/d").c_str(), 0700))),
                                   cat("remove ", why(::unlink((below + "/a").c_str()))),
                                   cat("null ", opened("/dev/null", O_WRONLY)),
                                   cat("read null ", opened("/dev/null", O_RDONLY))});
              }),
              "read works, write EACCES, make works, mkdir works, remove works, null works, "
              "read null EACCES");
}

TEST_F(LandlockTest, PathThatDoesNotExistIsABadRequest) {
    const std::vector<PathRule> rules{
        {folder_ + "/none", PathAccess::Read, "landlock_rules[0] (--landlock-rules)"}};

    const auto landlock = Landlock::prepare(landlock_version(), rules);

    ASSERT_FALSE(landlock);
    EXPECT_EQ(landlock.error().kind(), ErrorKind::Config);
    EXPECT_EQ(landlock.error().report(),
              "error: landlock_rules[0] (--landlock-rules): " + folder_ +
                  "/none: open: No such file or directory (errno 2)\n  help: Name a path that "
                  "exists when the machine starts, or leave the rule out.\n");
}

TEST_F(LandlockTest, TcpIsRefusedAndAnAcceptedClientIsNot) {
    if (landlock_version() < 4)
        GTEST_SKIP() << "this kernel's Landlock has no ports";
    sockaddr_in address{};
    const UniqueFd listener = tcp_listener(address);

    EXPECT_EQ(
        said_in_child([&] {
            const UniqueFd client{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
            return in_order(
                {why(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address),
                               sizeof address)),
                 entered(landlock_version(), {}), cat("connect ", connected_to(address)),
                 cat("bind ", bound_to_any_port()),
                 cat("accept ", why(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)))});
        }),
        "works, connect EACCES, bind EACCES, accept works");
}

TEST_F(LandlockTest, SignalsStayInside) {
    if (landlock_version() < 6)
        GTEST_SKIP() << "this kernel's Landlock has no scopes";
    const pid_t outside = ::getpid();

    EXPECT_EQ(said_in_child([&] {
                  const auto done = entered(landlock_version(), {});
                  return cat(done, "outside ", why(::kill(outside, 0)), ", init ",
                             why(::kill(1, SIGTERM)), ", group ", why(::kill(0, 0)), ", own ",
                             why(::kill(::getpid(), 0)));
              }),
              "outside EPERM, init EPERM, group works, own works");
}

TEST_F(LandlockTest, AbstractSocketsOutsideAreRefused) {
    if (landlock_version() < 6)
        GTEST_SKIP() << "this kernel's Landlock has no scopes";
    const UniqueFd listener{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto name = cat("vmm-sandbox-test-", ::getpid());
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
    ASSERT_EQ(::listen(listener.get(), 4), 0);

    EXPECT_EQ(said_in_child([&] {
                  const auto done = entered(landlock_version(), {});
                  const UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
                  return cat(
                      done,
                      why(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size)));
              }),
              "EPERM");
}

TEST_F(LandlockTest, IoctlsOfDevicesNeedAnOpenDescriptorOrARule) {
    if (landlock_version() < 5)
        GTEST_SKIP() << "this kernel's Landlock has no ioctls";
    const std::vector<PathRule> rules{{"/dev/ptmx", PathAccess::ReadWrite, "test"}};

    EXPECT_EQ(said_in_child([&] {
                  const UniqueFd before{::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)};
                  const auto done = entered(landlock_version(), rules);
                  const UniqueFd after{::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)};
                  termios modes{};
                  return cat(done, why(::ioctl(before.get(), TCGETS, &modes)), ", ",
                             why(::ioctl(after.get(), TCGETS, &modes)));
              }),
              "works, works");
}

// A kernel of ABI 2 is played by asking for no more than that has.
TEST_F(LandlockTest, OlderVersionKeepsWhatItKnows) {
    sockaddr_in address{};
    const UniqueFd listener = tcp_listener(address);

    for (int version = 1; version <= std::min(landlock_version(), 7); ++version)
        EXPECT_EQ(said_in_child([&] {
                      const auto done = entered(version, {});
                      return cat(done, opened("/etc/passwd", O_RDONLY), ", ", connected_to(address),
                                 ", ", why(::kill(::getppid(), 0)));
                  }),
                  cat("EACCES, ", version < 4 ? "works" : "EACCES", ", ",
                      version < 6 ? "works" : "EPERM"))
            << version;
}

TEST(LandlockRightsTest, GapsAreNamedInOrder) {
    EXPECT_THAT(landlock_gaps(0), ElementsAre("files", "truncating files", "TCP ports",
                                              "ioctls of devices", "abstract sockets and signals"));
    EXPECT_THAT(landlock_gaps(2), ElementsAre("truncating files", "TCP ports", "ioctls of devices",
                                              "abstract sockets and signals"));
    EXPECT_THAT(landlock_gaps(5), ElementsAre("abstract sockets and signals"));
    EXPECT_THAT(landlock_gaps(6), ElementsAre());
    EXPECT_THAT(landlock_gaps(7), ElementsAre());
}

TEST(LandlockRightsTest, EachVersionHasTheBitsOfItsKernel) {
    EXPECT_EQ(landlock_rights(0).files, 0U);
    EXPECT_EQ(landlock_rights(1).files, 0x1fffU);
    EXPECT_EQ(landlock_rights(2).files, 0x3fffU);
    EXPECT_EQ(landlock_rights(3).files, 0x7fffU);
    EXPECT_EQ(landlock_rights(3).ports, 0U);
    EXPECT_EQ(landlock_rights(4).ports, 3U);
    EXPECT_EQ(landlock_rights(5).files, 0xffffU);
    EXPECT_EQ(landlock_rights(5).scopes, 0U);
    EXPECT_EQ(landlock_rights(7).scopes, 3U);
}

}  // namespace
}  // namespace vmm::sandbox
