// SPDX-License-Identifier: Apache-2.0
#include "backends/char/socket_channel.hpp"

#include <sys/resource.h>
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "backends/char/char_test_support.hpp"
#include "support/sanitizers.hpp"

namespace vmm {
namespace {

using namespace std::chrono_literals;
using test::kBuffer;
using testing::AllOf;
using testing::HasSubstr;

// ---- socket

struct SocketBackendTest : test::BackendTest {
    std::string path() const { return folder + "/sock"; }
};

TEST_F(SocketBackendTest, BytesGoBothWays) {
    make(CharMode::Socket, path());
    attach();
    const UniqueFd client = test::connect_to(path());
    turn();
    send("login: ");
    turn();
    test::write_text(client.get(), "root\r");

    EXPECT_TRUE(turn_until([&] { return user.seen == "root\r"; }));
    EXPECT_EQ(test::read_all(client.get()), "login: ");
}

TEST_F(SocketBackendTest, HasAReaderWhileAClientIsThere) {
    make(CharMode::Socket, path());
    attach();
    EXPECT_EQ(send("x"), 1u);
    EXPECT_FALSE(backend->push());
    EXPECT_FALSE(backend->has_reader());

    const UniqueFd client = test::connect_to(path());
    EXPECT_TRUE(turn_until([&] { return backend->has_reader(); }));
    EXPECT_TRUE(backend->push());
}

TEST_F(SocketBackendTest, OutputBeforeTheFirstClientWaitsForIt) {
    make(CharMode::Socket, path());
    attach();
    EXPECT_EQ(send(std::string(kBuffer + 1, 'x')), kBuffer);
    turn();
    EXPECT_EQ(user.rooms, 0u);

    const UniqueFd client = test::connect_to(path());
    std::string seen;
    turn_until([&] {
        seen += test::read_all(client.get(), 1ms);
        return seen.size() >= kBuffer;
    });

    EXPECT_EQ(seen, std::string(kBuffer, 'x'));
    EXPECT_EQ(user.rooms, 1u);
}

TEST_F(SocketBackendTest, NewestClientTakesThePlaceOfTheOneBefore) {
    make(CharMode::Socket, path());
    attach();
    const UniqueFd first = test::connect_to(path());
    turn();
    send("for the first");
    turn();
    const UniqueFd second = test::connect_to(path());
    turn();
    send("for the second");
    turn();

    EXPECT_EQ(test::read_all(first.get()), "for the first");
    char byte = 0;
    EXPECT_EQ(::read(first.get(), &byte, 1), 0);  // closed by us
    EXPECT_EQ(test::read_all(second.get(), 50ms), "for the second");
}

TEST_F(SocketBackendTest, InputOfAClientIsTakenBeforeTheNextOneReplacesIt) {
    make(CharMode::Socket, path());
    attach();
    const UniqueFd first = test::connect_to(path());
    turn();
    // All before the loop looks.
    const UniqueFd second = test::connect_to(path());
    test::write_text(first.get(), "from the first\n");
    turn();
    test::write_text(second.get(), "from the second\n");

    EXPECT_TRUE(turn_until([&] { return user.seen == "from the first\nfrom the second\n"; }));
}

TEST_F(SocketBackendTest, ClientThatDoesNotReadDoesNotKeepTheNextOneOut) {
    make(CharMode::Socket, path());
    attach();
    const UniqueFd stuck = test::connect_to(path());
    turn();
    ASSERT_GT(fill(), kBuffer);

    const UniqueFd next = test::connect_to(path());

    std::string seen;
    EXPECT_TRUE(turn_until([&] {
        seen += test::read_all(next.get(), 1ms);
        return seen.size() >= kBuffer;
    }));
}

/// No descriptor above `free` more than there are now may be opened while this lives.
class FewDescriptors {
public:
    explicit FewDescriptors(rlim_t free) {
        EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
        const UniqueFd lowest{::dup(0)};
        const rlimit few{.rlim_cur = static_cast<rlim_t>(lowest.get()) + free,
                         .rlim_max = before_.rlim_max};
        EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    }
    FewDescriptors(const FewDescriptors&) = delete;
    FewDescriptors& operator=(const FewDescriptors&) = delete;
    ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

TEST_F(SocketBackendTest, ClientWaitsUntilADescriptorIsFreeAndNothingSpins) {
    if (test::kSanitized)
        GTEST_SKIP() << "a sanitizer needs descriptors of its own";
    make(CharMode::Socket, path());
    attach();
    // For the client itself there is none, or only for one of its two ways.
    for (const rlim_t free : {rlim_t{0}, rlim_t{1}}) {
        user.seen.clear();
        UniqueFd client{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        {
            const FewDescriptors few{free};
            test::connect(client, path());
            EXPECT_LE(turns(300ms), 10u);
            EXPECT_FALSE(backend->has_reader());
        }
        test::write_text(client.get(), "patient\n");

        EXPECT_TRUE(turn_until([&] { return user.seen == "patient\n"; }));
        client = UniqueFd{};
        EXPECT_TRUE(turn_until([&] { return !backend->has_reader(); }));
    }
}

TEST_F(SocketBackendTest, HangUpOfTheClientBeforeLeavesTheNewOneAlone) {
    make(CharMode::Socket, path());
    attach();
    UniqueFd first = test::connect_to(path());
    turn();
    // Both before the loop looks.
    const UniqueFd second = test::connect_to(path());
    first = UniqueFd{};
    turn();
    send("yours");
    turn();

    EXPECT_EQ(test::read_all(second.get()), "yours");
}

TEST_F(SocketBackendTest, ClientThatOnlyClosedItsSendingHalfStillReads) {
    make(CharMode::Socket, path());
    attach();
    const UniqueFd client = test::connect_to(path());
    turn();
    test::write_text(client.get(), "go\n");
    ::shutdown(client.get(), SHUT_WR);
    turn();
    EXPECT_EQ(user.seen, "go\n");
    EXPECT_LE(turns(50ms), 10u);
    send("done");
    turn();

    EXPECT_EQ(test::read_all(client.get()), "done");
}

TEST_F(SocketBackendTest, ClientAfterOneThatClosedBothHalvesInTurnIsServed) {
    make(CharMode::Socket, path());
    attach();
    UniqueFd first = test::connect_to(path());
    turn();
    ::shutdown(first.get(), SHUT_WR);
    turn();
    first = UniqueFd{};
    turn();
    const UniqueFd second = test::connect_to(path());
    turn();
    send("hello");
    turn();

    EXPECT_EQ(test::read_all(second.get()), "hello");
}

TEST_F(SocketBackendTest, InputOfAClientThatLeftIsStillTaken) {
    make(CharMode::Socket, path());
    attach();
    user.room = 4;
    {
        const UniqueFd client = test::connect_to(path());
        test::write_text(client.get(), "poweroff\n");
    }
    turn();
    EXPECT_EQ(user.seen, "powe");
    EXPECT_LE(turns(50ms), 10u);

    user.room = 100;
    backend->resume_input();

    EXPECT_TRUE(turn_until([&] { return user.seen == "poweroff\n"; }));
}

TEST_F(SocketBackendTest, SlowUserHoldsBackTheClientWithoutSpinning) {
    make(CharMode::Socket, path());
    attach();
    user.room = 0;
    const UniqueFd client = test::connect_to(path());
    ::fcntl(client.get(), F_SETFL, O_NONBLOCK);
    const std::string much(10000, 'y');
    std::size_t sent = 0;
    for (ssize_t now = 0; (now = ::write(client.get(), much.data(), much.size())) > 0;)
        sent += static_cast<std::size_t>(now);
    turn();
    EXPECT_LE(turns(100ms), 10u);

    user.room = std::numeric_limits<std::size_t>::max();
    backend->resume_input();

    EXPECT_TRUE(turn_until([&] { return user.seen.size() == sent; }));
}

TEST_F(SocketBackendTest, FileIsPrivateAndRemovedAtTheEnd) {
    make(CharMode::Socket, path());
    struct stat what {};
    ASSERT_EQ(::lstat(path().c_str(), &what), 0);
    EXPECT_EQ(what.st_mode & 0777u, 0600u);

    backend.reset();

    EXPECT_NE(::lstat(path().c_str(), &what), 0);
}

TEST_F(SocketBackendTest, FileOfADeadProcessIsReplaced) {
    {
        const UniqueFd dead{::socket(AF_UNIX, SOCK_STREAM, 0)};
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path().copy(address.sun_path, sizeof address.sun_path - 1);
        ASSERT_EQ(::bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }

    make(CharMode::Socket, path());

    EXPECT_TRUE(test::connect_to(path()));
}

TEST_F(SocketBackendTest, ErrorWhenAnotherProcessListens) {
    make(CharMode::Socket, path());

    EXPECT_THAT(error_of(CharMode::Socket, path()),
                AllOf(HasSubstr("listen on " + path()), HasSubstr("Address already in use"),
                      HasSubstr("Another process listens there")));
    EXPECT_TRUE(test::connect_to(path()));
}

TEST_F(SocketBackendTest, ErrorWhenThePathIsAnotherFile) {
    std::ofstream{path()} << "precious";

    EXPECT_THAT(error_of(CharMode::Socket, path()),
                HasSubstr("The path is a file of another kind"));
    EXPECT_EQ(test::content(path()), "precious");
}

TEST_F(SocketBackendTest, ErrorWhenThePathIsTooLong) {
    auto made =
        make_char_backend(loop, {.mode = CharMode::Socket, .path = std::string(108, 'p')}, events);

    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error().kind(), ErrorKind::Config);
    EXPECT_THAT(made.error().report(), AllOf(HasSubstr("1 to 107 characters, this one has 108"),
                                             HasSubstr("Name a shorter path")));
}

TEST_F(SocketBackendTest, ErrorWhenTheFolderIsMissing) {
    EXPECT_THAT(error_of(CharMode::Socket, folder + "/none/sock"),
                AllOf(HasSubstr("No such file or directory"),
                      HasSubstr("Name a path in a directory that you may write to.")));
}

}  // namespace
}  // namespace vmm
