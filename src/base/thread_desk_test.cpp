// SPDX-License-Identifier: Apache-2.0
#include "vmm/thread_desk.hpp"

#include <poll.h>
#include <sched.h>

#include <gmock/gmock.h>

#include <array>
#include <atomic>
#include <semaphore>
#include <thread>

namespace vmm {
namespace {

using testing::HasSubstr;

bool readable(int fd) {
    pollfd awaited{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&awaited, 1, 0) == 1;
}

std::string name_of_caller() {
    std::array<char, 16> name{};
    ::pthread_getname_np(::pthread_self(), name.data(), name.size());
    return name.data();
}

/// The CPUs that the caller may use, or nothing.
std::vector<unsigned> allowed() {
    cpu_set_t set;
    std::vector<unsigned> all;
    if (::sched_getaffinity(0, sizeof set, &set) == 0)
        for (unsigned number = 0; number < CPU_SETSIZE; ++number)
            if (CPU_ISSET(number, &set))
                all.push_back(number);
    return all;
}

struct Ordered {
    void order(OrderedThread& thread, std::vector<unsigned> processors = {}) {
        thread.order(
            {.kind = ThreadKind::BlockIo, .name = "io-test", .processors = std::move(processors)},
            [this]() noexcept {
                name = name_of_caller();
                ran.release();
            },
            [this](const Error& error) noexcept { refused = error.report(); });
    }
    std::binary_semaphore ran{0};
    std::string name;
    std::string refused;
};

TEST(ThreadDeskTest, ThreadIsMadeWhenTheDeskIsServed) {
    auto desk = ThreadDesk::open();
    ASSERT_TRUE(desk);
    Ordered ordered;
    OrderedThread thread;
    std::thread{[&] { ordered.order(thread); }}.join();  // as a vCPU thread does
    EXPECT_TRUE(readable((*desk)->fd()));
    EXPECT_FALSE(ordered.ran.try_acquire());
    (*desk)->serve();
    ordered.ran.acquire();
    EXPECT_EQ(ordered.name, "io-test");
    EXPECT_FALSE(readable((*desk)->fd()));
    EXPECT_FALSE(thread.withdraw());  // too late
    thread.join();
}

TEST(ThreadDeskTest, WithdrawnThreadIsNeverMade) {
    auto desk = ThreadDesk::open();
    ASSERT_TRUE(desk);
    Ordered ordered;
    OrderedThread thread;
    ordered.order(thread);
    EXPECT_TRUE(thread.withdraw());
    (*desk)->serve();
    EXPECT_FALSE(ordered.ran.try_acquire());
    ordered.order(thread);  // and may be ordered again
    (*desk)->serve();
    ordered.ran.acquire();
    thread.join();
}

TEST(ThreadDeskTest, EndOfTheOwnerWithdraws) {
    auto desk = ThreadDesk::open();
    ASSERT_TRUE(desk);
    Ordered ordered;
    {
        OrderedThread thread;
        ordered.order(thread);
    }
    (*desk)->serve();
    EXPECT_FALSE(ordered.ran.try_acquire());
}

TEST(ThreadDeskTest, WithoutADeskThreadIsMadeAtOnce) {
    Ordered ordered;
    OrderedThread thread;
    ordered.order(thread);
    ordered.ran.acquire();
    EXPECT_FALSE(thread.withdraw());
    thread.join();
}

TEST(ThreadDeskTest, RefusalIsTold) {
    auto desk = ThreadDesk::open();
    ASSERT_TRUE(desk);
    Ordered ordered;
    OrderedThread thread;
    ordered.order(thread, {CPU_SETSIZE - 1});
    EXPECT_EQ(ordered.refused, "");
    (*desk)->serve();
    EXPECT_THAT(ordered.refused, HasSubstr("let a thread run on host CPU 1023 only"));
    EXPECT_THAT(ordered.refused, HasSubstr("Invalid argument"));
    EXPECT_FALSE(ordered.ran.try_acquire());
}

TEST(MakeThreadTest, ThreadRunsOnTheGivenProcessorsFromItsFirstInstruction) {
    const auto all = allowed();
    ASSERT_FALSE(all.empty());
    std::vector<unsigned> seen;
    auto made = make_thread({.kind = ThreadKind::Vcpu, .name = "vcpu0", .processors = {all.back()}},
                            [&seen]() noexcept { seen = allowed(); });
    ASSERT_TRUE(made);
    made->join();
    EXPECT_EQ(seen, (std::vector<unsigned>{all.back()}));
}

TEST(ProcessorsTest, UsableAreThoseBesideTheOnesOfTheCallerToo) {
    const auto all = usable_processors();
    ASSERT_TRUE(all);
    EXPECT_THAT(*all, testing::IsSupersetOf(allowed()));

    std::vector<unsigned> after;
    Result<std::vector<unsigned>> usable;
    auto pinned = make_thread(
        {.kind = ThreadKind::Vcpu, .name = "vcpu0", .processors = {allowed().front()}}, [&] {
            usable = usable_processors();
            after = allowed();
        });
    ASSERT_TRUE(pinned);
    pinned->join();
    ASSERT_TRUE(usable);
    EXPECT_EQ(*usable, *all);
    EXPECT_EQ(after, (std::vector<unsigned>{allowed().front()}));
}

TEST(ProcessorsTest, TextHasRanges) {
    const auto text = [](std::vector<unsigned> processors) { return processors_text(processors); };

    EXPECT_EQ(text({}), "");
    EXPECT_EQ(text({3}), "3");
    EXPECT_EQ(text({0, 1, 2, 5, 7, 8}), "0-2,5,7-8");
    EXPECT_EQ(text({4, 3}), "4,3");
}

TEST(MakeThreadTest, NamesAreCutWhereLinuxDoes) {
    std::string name;
    auto made = make_thread({.kind = ThreadKind::BlockIo, .name = "io-a-very-long-name"},
                            [&name]() noexcept { name = name_of_caller(); });
    ASSERT_TRUE(made);
    made->join();
    EXPECT_EQ(name, "io-a-very-long-");
}

TEST(MakeThreadTest, SignalsAreTheMakersAffair) {
    sigset_t blocked;
    auto made = make_thread({.kind = ThreadKind::Helper, .name = "quiet"}, [&blocked]() noexcept {
        ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    });
    ASSERT_TRUE(made);
    made->join();
    EXPECT_EQ(::sigismember(&blocked, SIGTERM), 1);
    EXPECT_EQ(::sigismember(&blocked, SIGSEGV), 0);
}

}  // namespace
}  // namespace vmm
