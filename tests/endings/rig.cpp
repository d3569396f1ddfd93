// SPDX-License-Identifier: Apache-2.0
#include "rig.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace vmm::endings {
namespace {

constexpr int kPatience = 30'000;  // ms

struct Pipe {
    UniqueFd read;
    UniqueFd write;

    Pipe() {
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        read = UniqueFd{ends[0]};
        write = UniqueFd{ends[1]};
    }
    void fill() const {
        const int flags = ::fcntl(write.get(), F_GETFL);
        ::fcntl(write.get(), F_SETFL, flags | O_NONBLOCK);
        const std::array<char, 4096> some{};
        while (::write(write.get(), some.data(), some.size()) > 0) {
        }
        ::fcntl(write.get(), F_SETFL, flags);
    }
};

bool readable(int fd) {
    pollfd asked{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&asked, 1, kPatience) == 1;
}

// Faults are the program's to handle here, not a sanitizer's.
constexpr const char* kSanitizers =
    "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0:handle_sigtrap=0:"
    "allow_user_segv_handler=1:use_sigaltstack=0:detect_leaks=0";

}  // namespace

// In the child, between fork() and exec().
void Child::prepare(const StartOptions& options) const {
    ::setsid();
    if (options.terminal)
        ::ioctl(STDIN_FILENO, TIOCSCTTY, 0);
    for (const auto& [which, value] : options.limits) {
        const rlimit limit{.rlim_cur = value, .rlim_max = value};
        ::setrlimit(static_cast<__rlimit_resource>(which), &limit);
    }
    for (const int signal : options.ignored)
        ::signal(signal, SIG_IGN);
    sigset_t blocked;
    ::sigemptyset(&blocked);
    for (const int signal : options.blocked)
        ::sigaddset(&blocked, signal);
    ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
    if (!options.path.empty())
        ::setenv("PATH", options.path.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
    ::setenv("ASAN_OPTIONS", kSanitizers, 1);       // NOLINT(concurrency-mt-unsafe)
    ::setenv("TSAN_OPTIONS", kSanitizers, 1);       // NOLINT(concurrency-mt-unsafe)
    ::setenv("UBSAN_OPTIONS", kSanitizers, 1);      // NOLINT(concurrency-mt-unsafe)
}

Child::Child(std::vector<std::string> args, const StartOptions& options) {
    Pipe in;
    Pipe out;
    Pipe error;
    if (options.full_error)
        error.fill();
    UniqueFd tty;
    if (options.terminal) {
        int ours = -1;
        int theirs = -1;
        EXPECT_EQ(::openpty(&ours, &theirs, nullptr, nullptr, nullptr), 0);
        terminal_ = UniqueFd{ours};
        tty = UniqueFd{theirs};
        ::fcntl(ours, F_SETFD, FD_CLOEXEC);
        ::tcgetattr(ours, &before_);
    }
    std::string program = "vmm";
    std::vector<char*> argv{program.data()};
    for (auto& arg : args)
        argv.push_back(arg.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
        ::dup2(tty ? tty.get() : in.read.get(), STDIN_FILENO);
        const int output = tty ? tty.get() : out.write.get();
        ::dup2(options.output >= 0 ? options.output : output, STDOUT_FILENO);
        ::dup2(options.error >= 0 ? options.error : error.write.get(), STDERR_FILENO);
        tty = UniqueFd{};
        prepare(options);
        ::execv(VMM_PROGRAM, argv.data());
        ::_exit(126);
    }
    pidfd_ = UniqueFd{static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0))};
    input_ = terminal_ ? UniqueFd{::dup(terminal_.get())} : std::move(in.write);
    output_ = terminal_ ? UniqueFd{::dup(terminal_.get())} : std::move(out.read);
    error_ = std::move(error.read);
}

Child::~Child() {
    if (code_)
        return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

bool Child::comes(const UniqueFd& from, std::string& so_far, std::string_view text) {
    std::array<char, 4096> piece{};
    while (so_far.find(text) == std::string::npos) {
        if (!readable(from.get()))
            return false;
        const auto got = ::read(from.get(), piece.data(), piece.size());
        if (got <= 0)
            return false;
        so_far.append(piece.data(), static_cast<std::size_t>(got));
    }
    return true;
}

bool Child::says(std::string_view text) {
    if (!comes(output_, said_, text))
        return false;
    said_.erase(0, said_.find(text) + text.size());
    return true;
}

bool Child::complains(std::string_view text) {
    return comes(error_, complained_, text);
}

void Child::send_twice(int signal) {
    EXPECT_TRUE(complains("started"));
    send(signal);
    EXPECT_TRUE(complains("asked to end by "));
    send(signal);
}

void Child::type(std::string_view text) const {
    EXPECT_EQ(::write(input_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

void Child::send(int signal) const {
    EXPECT_EQ(::kill(pid_, signal), 0);
}

pid_t Child::thread(std::string_view name) const {
    const std::filesystem::path tasks = "/proc/" + std::to_string(pid_) + "/task";
    for (const auto& task : std::filesystem::directory_iterator{tasks}) {
        std::string comm;
        std::getline(std::ifstream{task.path() / "comm"}, comm);
        if (comm == name)
            return std::stoi(task.path().filename());
    }
    return 0;
}

void Child::send(int signal, std::string_view name) const {
    EXPECT_EQ(::syscall(SYS_tgkill, pid_, thread(name), signal), 0);
}

int Child::end() {
    if (!readable(pidfd_.get())) {
        ADD_FAILURE() << "it has not ended; standard error: " << error().substr(0, 1000);
        ::kill(pid_, SIGKILL);
    }
    int status = 0;
    ::waitpid(pid_, &status, 0);
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return *code_;
}

std::string Child::error() {
    std::string text = complained_;
    std::array<char, 4096> piece{};
    ::fcntl(error_.get(), F_SETFL, O_NONBLOCK);
    for (ssize_t got = 0; (got = ::read(error_.get(), piece.data(), piece.size())) > 0;)
        text.append(piece.data(), static_cast<std::size_t>(got));
    return text;
}

bool Child::runs() const {
    pollfd asked{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&asked, 1, 0) == 0;
}

bool Child::becomes_raw() const {
    termios now{};
    for (int waited = 0; waited < kPatience; waited += 10) {
        if (::tcgetattr(terminal_.get(), &now) == 0 && (now.c_lflag & ICANON) == 0)
            return true;
        ::poll(nullptr, 0, 10);
    }
    return false;
}

bool Child::given_back() const {
    termios now{};
    return ::tcgetattr(terminal_.get(), &now) == 0 && now.c_iflag == before_.c_iflag &&
           now.c_oflag == before_.c_oflag && now.c_cflag == before_.c_cflag &&
           now.c_lflag == before_.c_lflag;
}

void EndingTest::SetUp() {
    if (::access("/dev/kvm", R_OK | W_OK) != 0)
        GTEST_SKIP() << "no /dev/kvm that may be used";
    std::string name = "/tmp/vmm-endings-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
}

void EndingTest::TearDown() {
    if (!folder_.empty())
        std::filesystem::remove_all(folder_);
}

void EndingTest::write(const std::string& name, std::string_view text) const {
    std::ofstream{folder_ / name, std::ios::binary} << text;
}

std::string EndingTest::guest() {
    return VMM_GUEST;
}

std::vector<std::string> EndingTest::run(std::vector<std::string> more) const {
    std::vector<std::string> args{"run", "--kernel", guest()};
    if (std::ranges::find(more, "--memory") == more.end())
        more.insert(more.end(), {"--memory", "64M"});
    args.insert(args.end(), more.begin(), more.end());
    return args;
}

}  // namespace vmm::endings
