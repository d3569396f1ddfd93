// SPDX-License-Identifier: Apache-2.0
#include "backends/net/passt.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <netinet/in.h>
#include <optional>
#include <string_view>
#include <utility>

#include "backends/net/frame_stream.hpp"
#include "vmm/text.hpp"
#include "vmm/thread.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kSocketThere = 3;                // the socket's number in the child
constexpr milliseconds kStartAtMost{5000};     // for finding routes and binding ports
constexpr milliseconds kQuietMeansReady{500};  // after it has said anything
constexpr milliseconds kEndAtMost{500};

int poll_once(int fd, milliseconds at_most) {
    pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&p, 1, static_cast<int>(at_most.count()));
}

/// Ends a process that answers to nothing else. In the sandbox we may send no signal to a process
/// outside of it, which our children are: not with kill(), a pidfd or PR_SET_PDEATHSIG. What the
/// kernel sends when a pipe becomes readable (F_SETOWN, F_SETSIG) counts as of when it was ordered.
/// It stays bound to the process, not to its number. When we die, the pipe's writing end closes,
/// which says the same if the kernel comes to it before the reading end.
class KillSwitch {
public:
    /// `pid` has not been waited for.
    explicit KillSwitch(pid_t pid) {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0)
            return;
        in_ = UniqueFd{ends[0]};
        out_ = UniqueFd{ends[1]};
        ::fcntl(in_.get(), F_SETOWN, pid);
        ::fcntl(in_.get(), F_SETSIG, SIGKILL);
        ::fcntl(in_.get(), F_SETFL, O_NONBLOCK | O_ASYNC);
    }
    void pull() const { [[maybe_unused]] const auto written = ::write(out_.get(), "", 1); }

private:
    UniqueFd in_;
    UniqueFd out_;
};

/// A child process. Waits for its end, and sees to it. Where the kernel reaps children by itself
/// (whoever started us has it ignore SIGCHLD), its number may be a stranger's once it has ended.
class Child {
public:
    static constexpr int kUnknown = -1;  ///< no status of waitpid()

    explicit Child(pid_t pid)
        : pid_{pid}, fd_{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))}, kill_{pid} {}
    Child(Child&& other) noexcept
        : pid_{std::exchange(other.pid_, -1)},
          fd_{std::move(other.fd_)},
          kill_{std::move(other.kill_)},
          status_{other.status_} {}
    Child& operator=(Child&&) = delete;
    ~Child() {
        if (ended(milliseconds{0}))
            return;
        send(SIGTERM);  // not from inside the sandbox: there the end of its socket has to do
        if (ended(kEndAtMost))
            return;
        kill_.pull();
        if (ended(kEndAtMost))
            return;
        send(SIGKILL);
        ended(kEndAtMost);
    }

    /// How it ended, as waitpid() says it, or kUnknown; nothing if it has not within this time.
    std::optional<int> ended(milliseconds at_most) {
        if (status_ || pid_ < 0)
            return status_.value_or(0);
        if (fd_)
            poll_once(fd_.get(), at_most);
        int status = 0;
        const pid_t found = ::waitpid(pid_, &status, WNOHANG);
        if (found == pid_)
            status_ = status;
        else if (found < 0 && errno == ECHILD)
            status_ = kUnknown;
        return status_;
    }

private:
    // Linux 5.1 has the call, 5.3 the descriptor. Without one the kill switch has to do: by its
    // number no thread may signal another process.
    void send(int signal) const {
        if (fd_)
            ::syscall(SYS_pidfd_send_signal, fd_.get(), signal, nullptr, 0);
    }

    pid_t pid_;
    UniqueFd fd_;
    KillSwitch kill_;
    std::optional<int> status_;
};

std::string how(const std::optional<int>& status) {
    if (!status)
        return "passt closed its end";
    if (*status == Child::kUnknown)
        return "passt ended";
    if (WIFSIGNALED(*status))
        return cat("passt was killed by signal ", WTERMSIG(*status));
    return cat("passt ended with status ", WEXITSTATUS(*status));
}

/// What passt writes to its standard error, as lines. It never blocks on us: the pipe does not.
class Sayings {
public:
    explicit Sayings(UniqueFd pipe) : pipe_{std::move(pipe)} {}

    int fd() const { return pipe_.get(); }
    /// Takes in what there is; false at the end.
    bool read() {
        std::array<char, 4096> some{};
        for (;;) {
            const ssize_t got = ::read(pipe_.get(), some.data(), some.size());
            if (got == 0)
                return false;
            if (got < 0 && errno == EINTR)
                continue;
            if (got < 0)
                return errno == EAGAIN;
            text_.append(some.data(), static_cast<std::size_t>(got));
            if (text_.size() > kKeep)
                text_.erase(0, text_.size() - kKeep);
        }
    }
    bool has(std::string_view what) const { return text_.find(what) != std::string::npos; }
    bool empty() const { return text_.empty(); }
    /// The last line that says something, without the end of its sentence.
    std::string last_line() const {
        std::string_view rest = text_;
        while (!rest.empty()) {
            const std::size_t end = rest.find_last_not_of('\n');
            if (end == std::string_view::npos)
                break;
            const std::size_t start = rest.find_last_of('\n', end) + 1;
            const std::string_view line = rest.substr(start, end + 1 - start);
            if (!line.starts_with("Failed to send"))  // its log has no syslog to go to
                return std::string{line};
            rest = rest.substr(0, start);
        }
        return "";
    }

private:
    static constexpr std::size_t kKeep = 16 << 10;

    UniqueFd pipe_;
    std::string text_;
};

class Passt final : public NetBackend {
public:
    Passt(UniqueFd socket, Child child, Sayings sayings, std::uint16_t mtu)
        : mtu_{mtu},
          sayings_{std::move(sayings)},
          child_{std::move(child)},
          stream_{std::move(socket)} {}
    ~Passt() override { stream_.close(); }

    std::size_t channels() const noexcept override { return 1; }
    FrameChannel& channel(std::size_t) noexcept override { return stream_; }
    FrameOffloads takes() const noexcept override { return {}; }
    FrameOffloads gives() const noexcept override { return {}; }
    void use(FrameOffloads) noexcept override {}     // there are none
    void activate(std::size_t) noexcept override {}  // there is one
    std::optional<std::uint16_t> mtu() const noexcept override { return mtu_; }
    int link_fd() const noexcept override { return -1; }
    bool link_up() noexcept override { return true; }
    std::string why_gone() override {
        const auto status = child_.ended(milliseconds{100});
        sayings_.read();
        const std::string last = WIFSIGNALED(status.value_or(0)) ? "" : sayings_.last_line();
        return last.empty() ? how(status) : cat(how(status), " (", last, ")");
    }

private:
    std::uint16_t mtu_;
    Sayings sayings_;
    Child child_;
    FrameStream stream_;  // goes first: its end is passt's sign to go
};

std::string with_port(const PasstForward& forward, unsigned port) {
    return forward.address.contains(':') ? cat("[", forward.address, "]:", port)
                                         : cat(forward.address, ":", port);
}

/// Of the host's `port`; its length is returned.
socklen_t fill_address(const PasstForward& forward, std::uint16_t port, sockaddr_storage& to) {
    if (forward.address.contains(':')) {
        sockaddr_in6 address{};
        address.sin6_family = AF_INET6;
        address.sin6_port = htons(port);
        ::inet_pton(AF_INET6, forward.address.c_str(), &address.sin6_addr);
        std::memcpy(&to, &address, sizeof address);
        return sizeof address;
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    ::inet_pton(AF_INET, forward.address.c_str(), &address.sin_addr);
    std::memcpy(&to, &address, sizeof address);
    return sizeof address;
}

std::string advice_on_bind(int error, const PasstForward& forward, unsigned port) {
    switch (error) {
        case EADDRINUSE:
            return cat("Another program listens on port ", port, ": end it or publish another.");
        case EACCES:
            return "Ports below 1024 need privileges: publish another.";
        case EADDRNOTAVAIL:
            return cat("No interface of this host has the address ", forward.address,
                       ": publish at one that it has, or at 0.0.0.0 for all.");
        default:
            return {};
    }
}

Result<> check_free(const PasstForward& forward, std::uint16_t port, int type) {
    sockaddr_storage address{};
    const socklen_t length = fill_address(forward, port, address);
    const UniqueFd probe{::socket(address.ss_family, type | SOCK_CLOEXEC, 0)};
    const int yes = 1;
    if (type == SOCK_STREAM)
        ::setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (address.ss_family == AF_INET6)
        ::setsockopt(probe.get(), IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
    if (!probe || ::bind(probe.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0)
        return {};
    const int why = errno;
    auto advice = advice_on_bind(why, forward, port);
    if (advice.empty())
        return {};
    return std::unexpected(Error::os("bind", why)
                               .context(cat("publish ", with_port(forward, port),
                                            type == SOCK_STREAM ? "/tcp" : "/udp"))
                               .hint(std::move(advice)));
}

// passt goes on when it got some of several ports; whoever published them wants all.
Result<> check_free(const PasstForward& forward) {
    for (unsigned port = forward.host_first; port <= forward.host_last; ++port) {
        if (forward.tcp)
            VMM_TRY(check_free(forward, static_cast<std::uint16_t>(port), SOCK_STREAM));
        if (forward.udp)
            VMM_TRY(check_free(forward, static_cast<std::uint16_t>(port), SOCK_DGRAM));
    }
    return {};
}

struct Ends {
    UniqueFd ours;
    UniqueFd theirs;
};

Result<Ends> socket_pair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
        return std::unexpected(Error::os("socketpair", errno));
    Ends pair{UniqueFd{ends[0]}, UniqueFd{ends[1]}};
    // Room for a few of the largest frames; less would do.
    const int room = 1 << 20;
    for (const int end : ends)
        for (const int which : {SO_SNDBUF, SO_RCVBUF})
            ::setsockopt(end, SOL_SOCKET, which, &room, sizeof room);
    return pair;
}

Result<Ends> nonblocking_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0)
        return std::unexpected(Error::os("pipe2", errno));
    return Ends{UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

/// "127.0.0.1/8000-8010:9000-9010". passt takes an address once for each list, and lists add up.
std::string passt_ports(const PasstForward& forward) {
    const unsigned more = forward.host_last - forward.host_first;
    const auto range = [more](unsigned first) {
        return more == 0 ? cat(first) : cat(first, "-", first + more);
    };
    return cat(forward.address, "/", range(forward.host_first), ":", range(forward.guest_first));
}

std::vector<std::string> arguments(const PasstOptions& options) {
    std::vector<std::string> words{options.program,   "--foreground", "--fd",
                                   cat(kSocketThere), "--mtu",        cat(options.mtu)};
    // Said even where it is passt's default: what nobody asked for stays closed.
    const auto forward = [&](const char* flag, bool PasstForward::*protocol) {
        bool any = false;
        for (const PasstForward& each : options.publish)
            if (each.*protocol) {
                words.insert(words.end(), {flag, passt_ports(each)});
                any = true;
            }
        if (!any)
            words.insert(words.end(), {flag, "none"});
    };
    forward("--tcp-ports", &PasstForward::tcp);
    forward("--udp-ports", &PasstForward::udp);
    return words;
}

/// What passt may have of the host at most, also if somebody has taken it over. Not of processes:
/// that limit counts all of the user's, and passt's own filter lets it make none. Not of
/// descriptors: it has a socket for each connection.
struct Limit {
    __rlimit_resource what;
    rlim_t most;
};
constexpr auto kLimits = std::array{
    Limit{RLIMIT_CORE, 0}, Limit{RLIMIT_FSIZE, 0},  // it writes to sockets and to our pipe
    Limit{RLIMIT_AS, rlim_t{1} << 30},  // it has 72 MiB, most of them tables of a fixed size
};

/// What the child needs, made before the fork.
struct Start {
    const char* program;
    char* const* words;
    int socket;
    int output;
    int trouble;  ///< a pipe that takes errno; it closes when passt runs
};

// From here to its exec the child may call nothing but what a signal handler may.

/// Whatever is lower already stays.
bool limit_this_process() noexcept {
    return std::ranges::all_of(kLimits, [](const Limit& limit) {
        rlimit now{};
        if (::getrlimit(limit.what, &now) != 0)
            return false;
        now.rlim_cur = std::min(now.rlim_cur, limit.most);
        now.rlim_max = std::min(now.rlim_max, limit.most);
        return ::setrlimit(limit.what, &now) == 0;
    });
}

/// The only descriptors it gets are its standard ones and the socket; and `trouble` until the exec.
bool arrange_descriptors(const Start& start, int trouble) noexcept {
    const int nothing = ::open("/dev/null", O_RDONLY);
    // Copies above those that are put in place: none of them is in the way of another.
    const int socket = ::fcntl(start.socket, F_DUPFD, kSocketThere + 1);
    const int output = ::fcntl(start.output, F_DUPFD_CLOEXEC, kSocketThere + 1);
    if (nothing < 0 || socket < 0 || output < 0 || ::dup2(nothing, 0) != 0 ||
        ::dup2(output, 1) != 1 || ::dup2(output, 2) != 2 ||
        ::dup2(socket, kSocketThere) != kSocketThere)
        return false;
    for (int fd = kSocketThere + 1; fd < trouble; ++fd)
        ::close(fd);
    ::closefrom(trouble + 1);
    return true;
}

/// Signals of a terminal are not for it: it is in a process group of its own, and ends when we do.
void forget_signals() noexcept {
    for (int signal = 1; signal < NSIG; ++signal)
        ::signal(signal, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// The limits are set here, and not by prlimit() after posix_spawn: passt soon becomes a user whom
// we may not limit. Guest RAM is not in the child (MADV_DONTFORK), so the fork is a short one.
[[noreturn]] void become_passt(const Start& start) noexcept {
    const int trouble = ::fcntl(start.trouble, F_DUPFD_CLOEXEC, kSocketThere + 1);
    if (trouble >= 0 && ::setpgid(0, 0) == 0 && arrange_descriptors(start, trouble) &&
        limit_this_process()) {
        forget_signals();
        ::execvp(start.program, start.words);  // runs: passt
    }
    const int why = errno;
    [[maybe_unused]] const auto told =
        ::write(trouble >= 0 ? trouble : start.trouble, &why, sizeof why);
    ::_exit(1);
}

/// Of what the child tells; 0 when it has become passt.
int wait_for_exec(const UniqueFd& trouble) {
    int why = 0;
    while (::read(trouble.get(), &why, sizeof why) < 0 && errno == EINTR) {
    }
    return why;
}

Error not_started(const PasstOptions& options, const char* call, int error) {
    if (error == ENOENT)
        return Error{ErrorKind::Os, cat(options.program, " is not installed")}.hint(
            "Install it: apt install passt (Debian, Ubuntu) or dnf install passt (Fedora).");
    auto failed = Error::os(call, error).context(options.program);
    if (error == EAGAIN)
        return std::move(failed).hint(advice_on_threads(thread_limits()));
    return failed;
}

Result<Child> spawn(const PasstOptions& options, const UniqueFd& socket, const UniqueFd& output) {
    std::vector<std::string> words = arguments(options);
    std::vector<char*> pointers;
    for (std::string& word : words)
        pointers.push_back(word.data());  // NOLINT(performance-inefficient-vector-operation)
    pointers.push_back(nullptr);
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        return std::unexpected(Error::os("pipe2", errno));
    const UniqueFd trouble{ends[0]};
    UniqueFd theirs{ends[1]};
    const Start start{.program = options.program.c_str(),
                      .words = pointers.data(),
                      .socket = socket.get(),
                      .output = output.get(),
                      .trouble = theirs.get()};
    const auto pid = [&start] {
        const SignalsBlocked meanwhile;  // the child has our handlers until it forgets them
        const pid_t made = ::fork();
        if (made == 0)
            become_passt(start);
        return made;
    }();
    if (pid < 0)
        return std::unexpected(not_started(options, "fork", errno));
    theirs = {};
    if (const int error = wait_for_exec(trouble); error != 0) {
        ::waitpid(pid, nullptr, 0);
        return std::unexpected(not_started(options, "execvp", error));
    }
    return Child{pid};
}

/// What passt's own words mean, and what to do.
struct Reason {
    std::string_view said;  ///< a part of what passt says
    std::string_view meaning;
    std::string_view advice;
};
constexpr auto kReasons = std::array{
    Reason{
        "bind", "a published port cannot be had",
        "Publish other ports: another program listens on one of these, it is below 1024 and needs "
        "privileges, or the host has no such address or no IPv6."},
    // Before the next two: a host without IPv6 has said one of them by then, and goes on.
    Reason{"user namespace", "passt may not create its sandbox",
           "Allow unprivileged user namespaces on this host (sysctl user.max_user_namespaces, "
           "kernel.unprivileged_userns_clone, AppArmor's profile of passt, or the container's "
           "seccomp profile), or use a tap: --net tap=NAME."},
    Reason{"outable interface", "this host has no default route",
           "passt lends the guest the address of the host's interface with the default route: set "
           "one up (`ip route show default` lists it), or use a tap: --net tap=NAME."},
    Reason{"xternal interface", "this host has no default route",
           "passt lends the guest the address of the host's interface with the default route: set "
           "one up (`ip route show default` lists it), or use a tap: --net tap=NAME."},
    Reason{"nrecognized option", "this passt is too old",
           "Install passt of January 2023 or later, which has --fd."},
};

Error refusal(Child& child, const Sayings& sayings) {
    const std::string why = sayings.last_line();
    const std::string said = cat(how(child.ended(kEndAtMost)), why.empty() ? "" : ": ", why);
    for (const Reason& reason : kReasons)
        if (sayings.has(reason.said))
            return Error{ErrorKind::Os, cat(reason.meaning, " (", said, ")")}.hint(
                std::string{reason.advice});
    return Error{ErrorKind::Os, said}.hint("See man passt.");
}

// When its configuration is done it shows the addresses, the host's hardware address first. If
// another version words that differently, it is ready when it says no more.
Result<> wait_until_ready(Child& child, Sayings& sayings) {
    const auto end = Clock::now() + kStartAtMost;
    while (Clock::now() < end) {
        const int ready = poll_once(sayings.fd(), kQuietMeansReady);
        if (ready == 0 && !sayings.empty())
            return {};
        if (ready > 0 && !sayings.read())
            return std::unexpected(refusal(child, sayings));
        if (sayings.has("MAC:\n"))
            return {};
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<NetBackend>> start_passt(const PasstOptions& options) {
    for (const PasstForward& forward : options.publish)
        VMM_TRY_OR(check_free(forward), "user network");
    auto sockets = VMM_TRY(socket_pair());
    auto output = VMM_TRY(nonblocking_pipe());
    auto child = VMM_TRY_OR(spawn(options, sockets.theirs, output.theirs), "user network");
    sockets.theirs = {};
    output.theirs = {};
    Sayings sayings{std::move(output.ours)};
    VMM_TRY_OR(wait_until_ready(child, sayings), "user network");
    return std::make_unique<Passt>(std::move(sockets.ours), std::move(child), std::move(sayings),
                                   options.mtu);
}

}  // namespace vmm
