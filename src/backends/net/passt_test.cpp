// SPDX-License-Identifier: Apache-2.0
// With the real passt where it is installed, and with scripts in its place.
#include "backends/net/passt.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <netinet/in.h>
#include <sstream>
#include <string>

#include "support/sanitizers.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {
namespace {

using namespace std::string_literals;
using Status = FrameIo::Status;

/// A program of a few lines of shell that stands in for passt.
class Script {
public:
    explicit Script(std::string_view body) {
        const int fd = ::mkstemp(path_.data());
        EXPECT_GE(fd, 0);
        ::close(fd);
        std::ofstream{path_} << "#!/bin/sh\n" << body << "\n";
        EXPECT_EQ(::chmod(path_.c_str(), 0700), 0);
    }
    ~Script() { ::unlink(path_.c_str()); }
    const std::string& path() const { return path_; }

private:
    std::string path_ = "/tmp/vmm-passt-XXXXXX";
};

std::string refusal(const PasstOptions& options) {
    const auto passt = start_passt(options);
    return passt ? "started" : passt.error().report();
}

FrameIo wait_frame(FrameChannel& channel, std::string& room) {
    room.assign(FrameHeader::kSize + kMaxFrame, '\0');
    const std::array<iovec, 1> to{iovec{room.data(), room.size()}};
    for (;;) {
        const FrameIo io = channel.receive(to);
        pollfd p{.fd = channel.fd(), .events = POLLIN, .revents = 0};
        if (io.status != Status::Again || ::poll(&p, 1, 5000) != 1) {
            room.resize(io.bytes);
            return io;
        }
    }
}

/// An address of the loopback that no other test program uses at the same time.
std::string own_address() {
    const auto id = static_cast<unsigned>(::getpid());
    return "127.77." + std::to_string(id / 256 % 256) + "." + std::to_string(id % 256);
}

/// The process ids of this program's children.
std::string children() {
    std::ifstream list{"/proc/self/task/" + std::to_string(::getpid()) + "/children"};
    std::string ids;
    std::getline(list, ids);
    return ids;
}

TEST(PasstTest, MissingProgramSaysHowToGetIt) {
    EXPECT_EQ(refusal({.program = "no-such-passt"}),
              "error: user network: no-such-passt is not installed\n"
              "  help: Install it: apt install passt (Debian, Ubuntu) or dnf install passt "
              "(Fedora).\n");
    EXPECT_EQ(start_passt({.program = "no-such-passt"}).error().kind(), ErrorKind::Os);
}

TEST(PasstTest, ProgramThatFailsIsQuoted) {
    const Script script{"echo hello >&2; echo 'No routable interface for IPv4' >&2; exit 1"};
    EXPECT_EQ(refusal({.program = script.path()}),
              "error: user network: this host has no default route (passt ended with status 1: No "
              "routable interface for IPv4)\n"
              "  help: passt lends the guest the address of the host's interface with the default "
              "route: set one up (`ip route show default` lists it), or use a tap: --net "
              "tap=NAME.\n");
}

// In a container; a network without IPv6 is the rule there, and no reason to fail.
TEST(PasstTest, ForbiddenSandboxIsTheReasonWhateverElseIsMissing) {
    const Script script{
        "echo 'No routable interface for IPv6: IPv6 is disabled' >&2\n"
        "echo \"Couldn't create user namespace: Operation not permitted\" >&2; exit 1"};
    const auto said = refusal({.program = script.path()});
    EXPECT_NE(said.find("passt may not create its sandbox (passt ended with status 1: Couldn't"),
              std::string::npos)
        << said;
    EXPECT_NE(said.find("the container's seccomp profile), or use a tap"), std::string::npos);
}

TEST(PasstTest, ProgramThatIsKilledAtStartIsAnError) {
    const Script script{"kill -9 $$"};
    EXPECT_EQ(refusal({.program = script.path()}),
              "error: user network: passt was killed by signal 9\n  help: See man passt.\n");
}

// As some launchers leave it: the kernel then keeps no status.
TEST(PasstTest, IgnoredSigchldHidesTheStatusAndNothingElse) {
    const Script script{"echo 'No routable interface for IPv4' >&2; exit 1"};
    const auto before = ::signal(SIGCHLD, SIG_IGN);
    const std::string said = refusal({.program = script.path()});
    ::signal(SIGCHLD, before);
    EXPECT_EQ(said.substr(0, said.find('\n')),
              "error: user network: this host has no default route (passt ended: No routable "
              "interface for IPv4)");
}

TEST(PasstTest, DescriptorsOfOthersAreNotForIt) {
    const Script script{"ls /proc/$$/fd | tr '\\n' ' ' >&2; exit 3"};
    // One that whoever started us left open for every program.
    const UniqueFd inheritable{::fcntl(0, F_DUPFD, 200)};
    const std::string number = std::to_string(inheritable.get());
    const std::string said = refusal({.program = script.path()});
    EXPECT_NE(said.find(" 3 "), std::string::npos) << said;  // the socket
    EXPECT_EQ(said.find(" " + number + " "), std::string::npos) << said;
}

TEST(PasstTest, PortsThatCannotBeHadAndOldVersionsAreExplained) {
    const Script bind{"echo \"Failed to bind any port for '-t ::1/1:1', exiting\" >&2; exit 1"};
    EXPECT_NE(refusal({.program = bind.path()}).find("a published port cannot be had (passt ended"),
              std::string::npos);
    const Script old{"echo \"passt: unrecognized option '--fd'\" >&2; exit 1"};
    EXPECT_NE(refusal({.program = old.path()}).find("help: Install passt of January 2023 or later"),
              std::string::npos);
}

/// passt's arguments.
std::string arguments_for(std::vector<PasstForward> publish) {
    const Script script{"echo \"$@\" >&2; exit 3"};
    const std::string said = refusal({.publish = std::move(publish), .program = script.path()});
    const std::size_t first = said.find("--foreground");
    return first == std::string::npos ? said : said.substr(first, said.find('\n') - first);
}

TEST(PasstTest, OnlyWhatIsAskedForIsPublished) {
    EXPECT_EQ(arguments_for({}),
              "--foreground --fd 3 --mtu 65520 --tcp-ports none --udp-ports none");
    const std::string here = own_address();
    const PasstForward both{
        .address = here, .host_first = 28080, .host_last = 28080, .guest_first = 80};
    const PasstForward tcp{.address = here,
                           .host_first = 28000,
                           .host_last = 28010,
                           .guest_first = 9000,
                           .tcp = true,
                           .udp = false};
    EXPECT_EQ(arguments_for({both, tcp}),
              "--foreground --fd 3 --mtu 65520 --tcp-ports " + here + "/28080:80 --tcp-ports " +
                  here + "/28000-28010:9000-9010 --udp-ports " + here + "/28080:80");
    EXPECT_EQ(arguments_for({tcp}), "--foreground --fd 3 --mtu 65520 --tcp-ports " + here +
                                        "/28000-28010:9000-9010 --udp-ports none");
}

TEST(PasstTest, ProgramThatDiesLaterIsGoneWithAReason) {
    // Speaks first, then waits for a byte, then goes.
    const Script script{"echo MAC: >&2; head -c 1 <&3 >/dev/null; echo 'out of luck' >&2; exit 7"};
    const auto passt = start_passt({.program = script.path()});
    ASSERT_TRUE(passt) << passt.error().report();
    FrameHeader header;
    std::string frame(60, 'x');
    const std::array<iovec, 2> out{iovec{&header, sizeof header}, {frame.data(), frame.size()}};
    FrameChannel& channel = (*passt)->channel(0);
    EXPECT_EQ(channel.send(out).status, Status::Done);

    std::string room;
    EXPECT_EQ(wait_frame(channel, room).status, Status::Gone);
    EXPECT_EQ((*passt)->why_gone(), "passt ended with status 7 (out of luck)");
}

TEST(PasstTest, ProgramEndsWithTheBackend) {
    const std::string before = children();
    const Script script{"echo MAC: >&2; trap '' TERM; while :; do sleep 0.05; done"};
    {
        const auto passt = start_passt({.program = script.path()});
        ASSERT_TRUE(passt) << passt.error().report();
        EXPECT_NE(children(), before);
    }
    EXPECT_EQ(children(), before);
}

pid_t only_child() {
    return static_cast<pid_t>(std::strtol(children().c_str(), nullptr, 10));
}

/// "0 0 bytes", as /proc has it. prlimit(2) is not for passt, which becomes another user.
std::string limits_of(const std::string& process, std::string_view what) {
    std::ifstream list{"/proc/" + process + "/limits"};
    for (std::string line; std::getline(list, line);)
        if (line.starts_with(what)) {
            std::istringstream words{line.substr(what.size())};
            std::string soft;
            std::string hard;
            words >> soft >> hard;
            return soft + " " + hard;
        }
    return "";
}

constexpr const char* kWaits = "echo MAC: >&2; read -r never <&3";
const std::string kGiB = std::to_string(std::size_t{1} << 30);

TEST(PasstTest, HasLimitsWhereItNeedsNothing) {
    const Script script{kWaits};
    const auto passt = start_passt({.program = script.path()});
    ASSERT_TRUE(passt) << passt.error().report();
    const std::string child = std::to_string(only_child());
    EXPECT_EQ(limits_of(child, "Max core file size"), "0 0");
    EXPECT_EQ(limits_of(child, "Max file size"), "0 0");
    EXPECT_EQ(limits_of(child, "Max address space"), kGiB + " " + kGiB);
    // Each connection takes a descriptor; processes are counted for all of the user's.
    for (const auto* const what : {"Max open files", "Max processes", "Max data size"})
        EXPECT_EQ(limits_of(child, what), limits_of("self", what)) << what;
}

TEST(PasstTest, LimitsThatAreLowerAlreadyStay) {
    if (test::kSanitized)
        GTEST_SKIP() << "sanitizers need a lot of addresses";
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_AS, &before), 0);
    const rlimit low{.rlim_cur = rlim_t{512} << 20, .rlim_max = before.rlim_max};
    const Script script{kWaits};
    ASSERT_EQ(::setrlimit(RLIMIT_AS, &low), 0);
    const auto passt = start_passt({.program = script.path()});
    EXPECT_EQ(::setrlimit(RLIMIT_AS, &before), 0);
    ASSERT_TRUE(passt) << passt.error().report();
    EXPECT_EQ(limits_of(std::to_string(only_child()), "Max address space"),
              std::to_string(low.rlim_cur) + " " + kGiB);
}

TEST(PasstTest, HasNoSignalBlockedOrIgnored) {
    const Script script{"grep -E 'Sig(Blk|Ign)' /proc/$$/status | tr '\\n\\t' '  ' >&2; exit 3"};
    sigset_t block;
    sigset_t before;
    ::sigfillset(&block);
    ::pthread_sigmask(SIG_BLOCK, &block, &before);
    const auto handler = ::signal(SIGPIPE, SIG_IGN);
    const std::string said = refusal({.program = script.path()});
    ::signal(SIGPIPE, handler);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    EXPECT_NE(said.find("SigBlk: 0000000000000000 SigIgn: 0000000000000000"), std::string::npos)
        << said;
}

/// A socket of that type on a port of the loopback that the kernel chose.
UniqueFd bound(int type, std::uint16_t& port) {
    UniqueFd socket{::socket(AF_INET, type | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    if (type == SOCK_STREAM) {
        EXPECT_EQ(::listen(socket.get(), 1), 0);
    }
    EXPECT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port = ntohs(address.sin_port);
    return socket;
}

PasstForward forward_of(const std::string& address, std::uint16_t port) {
    return {.address = address, .host_first = port, .host_last = port, .guest_first = 80};
}

TEST(PasstTest, PortThatIsTakenSaysSo) {
    std::uint16_t number = 0;
    const UniqueFd listener = bound(SOCK_STREAM, number);
    const std::string port = std::to_string(number);

    EXPECT_EQ(refusal({.publish = {forward_of("127.0.0.1", number)}, .program = "/bin/false"}),
              "error: user network: publish 127.0.0.1:" + port +
                  "/tcp: bind: Address already in use (errno 98)\n"
                  "  help: Another program listens on port " +
                  port + ": end it or publish another.\n");
    const auto everywhere = start_passt({.publish = {forward_of("0.0.0.0", number)}});
    ASSERT_FALSE(everywhere);
    EXPECT_EQ(everywhere.error().kind(), ErrorKind::Os);
}

TEST(PasstTest, UdpPortThatIsTakenSaysSo) {
    std::uint16_t number = 0;
    const UniqueFd socket = bound(SOCK_DGRAM, number);

    auto forward = forward_of("127.0.0.1", number);
    forward.tcp = false;
    EXPECT_NE(refusal({.publish = {forward}, .program = "/bin/false"})
                  .find("/udp: bind: Address already in use"),
              std::string::npos);
}

TEST(PasstTest, AddressThatTheHostDoesNotHaveSaysSo) {
    EXPECT_NE(refusal({.publish = {forward_of("192.0.2.99", 28081)}, .program = "/bin/false"})
                  .find("No interface of this host has the address 192.0.2.99: "),
              std::string::npos);
}

class RealPasstTest : public testing::Test {
protected:
    void SetUp() override {
        if (::access("/usr/bin/passt", X_OK) != 0)
            GTEST_SKIP() << "passt is not installed";
        const std::string said = refusal({});
        if (said != "started")
            GTEST_SKIP() << "passt does not start here: " << said;
    }
};

TEST_F(RealPasstTest, AnswersTheGuest) {
    const auto passt = start_passt({});
    ASSERT_TRUE(passt) << passt.error().report();
    EXPECT_EQ((*passt)->mtu(), 65520);
    EXPECT_EQ(limits_of(std::to_string(only_child()), "Max file size"), "0 0");
    // Who has 192.0.2.77? passt has every address but the guest's.
    FrameHeader header;
    std::string frame =
        "\xff\xff\xff\xff\xff\xff\x52\x54\x00\x12\x34\x56\x08\x06"
        "\x00\x01\x08\x00\x06\x04\x00\x01\x52\x54\x00\x12\x34\x56\x00\x00\x00\x00"
        "\x00\x00\x00\x00\x00\x00\xc0\x00\x02\x4d"s;
    const std::array<iovec, 2> out{iovec{&header, sizeof header}, {frame.data(), frame.size()}};
    ASSERT_EQ((*passt)->channel(0).send(out).status, Status::Done);

    std::string room;
    ASSERT_EQ(wait_frame((*passt)->channel(0), room).status, Status::Done);
    EXPECT_EQ(room.substr(0, 12), std::string(12, '\0'));
    EXPECT_EQ(room.substr(12, 6), "\x52\x54\x00\x12\x34\x56"s);
    EXPECT_EQ(room.substr(24, 2), "\x08\x06"s);
    EXPECT_EQ(room.substr(32, 2), "\x00\x02"s);          // a reply
    EXPECT_EQ(room.substr(40, 4), "\xc0\x00\x02\x4d"s);  // from that address
}

TEST_F(RealPasstTest, KilledPasstIsGoneWithAReason) {
    const auto passt = start_passt({});
    ASSERT_TRUE(passt) << passt.error().report();
    const pid_t pid = only_child();
    ASSERT_GT(pid, 1);
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    std::string room;
    EXPECT_EQ(wait_frame((*passt)->channel(0), room).status, Status::Gone);
    EXPECT_EQ((*passt)->why_gone(), "passt was killed by signal 9");
}

bool listens(const char* table, const std::string& place) {
    std::ifstream file{table};
    std::string line;
    while (std::getline(file, line))
        if (line.find(place) != std::string::npos)
            return true;
    return false;
}

// As the kernel shows it: hexadecimal, the address in the host's byte order.
TEST_F(RealPasstTest, PublishedPortIsOpenAtItsAddressOnly) {
    const std::string here = own_address();
    auto forward = forward_of(here, 28090);
    forward.udp = false;
    const auto passt = start_passt({.publish = {forward}});
    ASSERT_TRUE(passt) << passt.error().report();

    std::array<char, 16> shown{};
    std::snprintf(shown.data(), shown.size(), "%08X:%04X", ::inet_addr(here.c_str()), 28090U);
    const std::string place{shown.data()};
    EXPECT_TRUE(listens("/proc/net/tcp", " " + place + " 00000000:0000 0A"));
    EXPECT_FALSE(listens("/proc/net/udp", " " + place + " "));
}

}  // namespace
}  // namespace vmm
