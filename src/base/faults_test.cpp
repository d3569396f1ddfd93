// SPDX-License-Identifier: Apache-2.0
#include "vmm/faults.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <string>
#include <thread>

#include "vmm/last_step.hpp"
#include "vmm/signals.hpp"
#include "vmm/thread.hpp"

namespace vmm {
namespace {

/// What a sanitizer handles itself cannot be seen here; tests/endings switches that off.
bool sanitizer_handles(int signal) {
    struct sigaction now {};
    ::sigaction(signal, nullptr, &now);
    return now.sa_handler != SIG_DFL || (now.sa_flags & SA_SIGINFO) != 0;
}

class FaultsDeathTest : public testing::Test {
protected:
    FaultsDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
    void SetUp() override {
        if (sanitizer_handles(SIGSEGV) || sanitizer_handles(SIGBUS))
            GTEST_SKIP() << "a sanitizer has its own handlers";
    }

    /// In a thread as ours are, with the name "worker".
    template <class Body>
    static void in_thread(Body body) {
        own_signals();
        const SignalsBlocked blocked;
        std::thread{[&] {
            const FaultStack stack;
            ::pthread_setname_np(::pthread_self(), "worker");
            body();
        }}.join();
        ::_exit(0);
    }
};

// volatile and after the call, so that neither is optimised away.
int descend(int depth) {
    std::array<char, 4096> room{};
    volatile char* const used = room.data();
    *used = static_cast<char>(depth);
    return depth < 0 ? 0 : descend(depth + 1) + *used;
}

TEST_F(FaultsDeathTest, NamesSignalAddressAndThread) {
    const auto body = [] { in_thread([] { *reinterpret_cast<volatile int*>(0x10) = 1; }); };
    EXPECT_EXIT(body(), testing::KilledBySignal(SIGSEGV),
                "vmm: died of SIGSEGV at address 0x10 in thread worker: this is a bug in vmm");
}

TEST_F(FaultsDeathTest, StackThatOverflowsIsAFaultLikeAnother) {
    const auto body = [] { in_thread([] { descend(0); }); };
    EXPECT_EXIT(body(), testing::KilledBySignal(SIGSEGV),
                "vmm: died of SIGSEGV at address 0x[0-9a-f]+ in thread worker");
}

TEST_F(FaultsDeathTest, AbortIsABug) {
    const auto body = [] { in_thread([] { ::abort(); }); };
    EXPECT_EXIT(body(), testing::KilledBySignal(SIGABRT),
                "vmm: died of SIGABRT in thread worker: this is a bug in vmm");
}

TEST_F(FaultsDeathTest, LastStepsAreRun) {
    const auto body = [] {
        const LastStep step{[](const void*) noexcept {
                                constexpr std::string_view kText = "put right; ";
                                [[maybe_unused]] const auto done =
                                    ::write(STDERR_FILENO, kText.data(), kText.size());
                            },
                            nullptr};
        in_thread([] { *reinterpret_cast<volatile int*>(0x10) = 1; });
    };
    EXPECT_EXIT(body(), testing::KilledBySignal(SIGSEGV), "put right; vmm: died of SIGSEGV");
}

TEST_F(FaultsDeathTest, MemoryThatTheHostCannotProvideIsTheHosts) {
    const auto body = [] {
        const int file = ::memfd_create("ram", 0);
        constexpr std::size_t kSize = 8192;
        void* const at = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        auto* const bytes = static_cast<std::byte*>(at);
        const BackedMemory memory{{bytes, kSize}, "guest RAM from the file ram", "Look at ram."};
        in_thread([&] { *static_cast<volatile std::byte*>(bytes + 4096) = std::byte{1}; });
    };
    EXPECT_EXIT(body(), testing::ExitedWithCode(1),
                "error: The host has no page for guest RAM from the file ram \\(SIGBUS at address "
                "0x[0-9a-f]+ in thread worker\\).\n  help: Look at ram.\n");
}

TEST_F(FaultsDeathTest, OtherSigbusIsABug) {
    const auto body = [] {
        const int file = ::memfd_create("other", 0);
        void* const at = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        in_thread([&] { *static_cast<volatile int*>(at) = 1; });
    };
    EXPECT_EXIT(body(), testing::KilledBySignal(SIGBUS), "vmm: died of SIGBUS at address");
}

TEST(OwnFileTest, GoesWithItsOwnerUnlessAnotherTookItsPlace) {
    std::string path = "/tmp/vmm-own-file-XXXXXX";
    ::close(::mkstemp(path.data()));
    {
        OwnFile file{path};
        file.keep();
    }
    EXPECT_EQ(::access(path.c_str(), F_OK), 0);
    { const OwnFile file{path}; }
    EXPECT_NE(::access(path.c_str(), F_OK), 0);

    const std::string other = path + ".other";
    ::close(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    ::close(::open(other.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    {
        const OwnFile file{path};
        ::rename(other.c_str(), path.c_str());
    }
    EXPECT_EQ(::access(path.c_str(), F_OK), 0);
    ::unlink(path.c_str());
}

TEST(LastStepTest, AreRunWhileTheyLiveTheNewestFirst) {
    static std::string order;
    const auto note = [](const void* what) noexcept { order += static_cast<const char*>(what); };
    order.clear();
    const LastStep a{note, "a"};
    {
        const LastStep b{note, "b"};
        const LastStep c{note, "c"};
        LastStep::run_all();
    }
    LastStep::run_all();

    EXPECT_EQ(order, "cbaa");
}

}  // namespace
}  // namespace vmm
