// SPDX-License-Identifier: Apache-2.0
// stopwatch MARK FILE PROGRAM ARGUMENT...: runs PROGRAM and says what the CPU's time stamp counter
// counted from just before it was started until MARK came on its standard output for the first and
// for the last time, and until it ended:
//
//   counts to-mark=N to-last=N to-end=N exit=CODE       (to-mark=- to-last=- when MARK never came)
//
// Units are the counter's own; in the emulated machine of boot_icount.py one count is one
// instruction. What PROGRAM printed is in FILE afterwards; nothing is written while the clock runs.
// Standard input and error are handed on.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <x86intrin.h>

namespace {

constexpr std::size_t kKept = 1 << 20;  // bytes of output; what goes beyond is read and dropped
char kept[kKept + 1];

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "stopwatch: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

/// Starts the program with its standard output in a pipe; returns the pipe's end to read.
int start(char** argv, pid_t& child) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        fail("pipe");
    child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execv(argv[0], argv);
        fail(argv[0]);
    }
    close(ends[1]);
    return ends[0];
}

/// The counter's values when the mark was there; 0 if it never was.
struct Seen {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
};

/// Reads until the end of output.
Seen read_until_end(int from, const char* mark, std::size_t& length) {
    static char dropped[4096];
    Seen seen;
    const char* rest = kept;  // where the mark was not found yet
    for (;;) {
        const bool full = length == kKept;
        const ssize_t got =
            full ? read(from, dropped, sizeof dropped) : read(from, kept + length, kKept - length);
        if (got <= 0)
            return seen;
        length += full ? 0 : static_cast<std::size_t>(got);
        while (const char* const found = std::strstr(rest, mark)) {
            seen.last = __rdtsc();
            seen.first = seen.first == 0 ? seen.last : seen.first;
            rest = found + 1;
        }
    }
}

void save(const char* path, std::size_t length) {
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0 || write(file, kept, length) != static_cast<ssize_t>(length))
        fail(path);
    close(file);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) {
        std::fputs("usage: stopwatch MARK FILE PROGRAM ARGUMENT...\n", stderr);
        return 2;
    }
    pid_t child = 0;
    std::size_t length = 0;
    int status = 0;
    const std::uint64_t started = __rdtsc();
    const int output = start(argv + 3, child);
    const Seen marked = read_until_end(output, argv[1], length);
    if (waitpid(child, &status, 0) != child)
        fail("waitpid");
    const std::uint64_t ended = __rdtsc();

    save(argv[2], length);
    if (marked.first == 0)
        std::printf("counts to-mark=- to-last=-");
    else
        std::printf("counts to-mark=%" PRIu64 " to-last=%" PRIu64, marked.first - started,
                    marked.last - started);
    std::printf(" to-end=%" PRIu64 " exit=%d\n", ended - started,
                WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}
