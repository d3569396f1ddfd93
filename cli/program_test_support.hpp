// SPDX-License-Identifier: Apache-2.0
// Runs the built program as a user does, for tests.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace vmm::cli {

inline std::string content(const std::filesystem::path& file) {
    std::ifstream in{file, std::ios::binary};
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

/// An ELF file with a PVH note whose code writes 0 to the ports 0xf4, 0x3f8 and 0xfffc.
inline std::string payload() {
    constexpr std::uint64_t kAddress = 0x10'0000;
    std::string file;
    const auto put = [&file](std::uint64_t value, int bytes) {
        for (int i = 0; i < bytes; ++i)
            file += static_cast<char>(value >> (8 * i));
    };
    constexpr std::uint64_t kHeader = 64;
    constexpr std::uint64_t kSegment = 56;
    constexpr std::uint64_t kNote = kHeader + 2 * kSegment;
    constexpr std::uint64_t kNoteSize = 12 + 4 + 4;
    constexpr std::uint64_t kCode = kNote + kNoteSize;
    constexpr std::string_view kInstructions{
        "\x31\xc0"          // xor eax, eax
        "\x66\xba\xf4\x00"  // mov dx, 0xf4
        "\xee"              // out dx, al
        "\x66\xba\xf8\x03"
        "\xee"
        "\x66\xba\xfc\xff"
        "\xee"
        "\xf4"       // hlt
        "\xeb\xfd",  // jmp to the hlt
        20};
    file = {
        "\x7f"
        "ELF\x02\x01\x01",
        7};
    file.resize(16);
    put(2, 2), put(62, 2), put(1, 4);  // ET_EXEC, EM_X86_64
    put(kAddress + kCode, 8), put(kHeader, 8), put(0, 8), put(0, 4);
    put(kHeader, 2), put(kSegment, 2), put(2, 2), put(0, 6);
    put(1, 4), put(7, 4), put(0, 8), put(kAddress, 8), put(kAddress, 8);  // PT_LOAD
    put(kCode + kInstructions.size(), 8), put(kCode + kInstructions.size(), 8), put(0x1000, 8);
    put(4, 4), put(4, 4), put(kNote, 8), put(kAddress + kNote, 8),
        put(kAddress + kNote, 8);  // PT_NOTE
    put(kNoteSize, 8), put(kNoteSize, 8), put(4, 8);
    put(4, 4), put(4, 4), put(18, 4);  // XEN_ELFNOTE_PHYS32_ENTRY
    file += std::string_view{"Xen\0", 4};
    put(kAddress + kCode, 4);
    return file.append(kInstructions);
}

struct Outcome {
    int code = -1;  ///< minus the signal if one killed it
    std::string out;
    std::string err;
};

class ProgramTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = "/tmp/vmm-cli-test-XXXXXX";
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::string file(const std::string& name, std::string_view text) const {
        std::ofstream{folder_ / name, std::ios::binary} << text;
        return folder_ / name;
    }

    /// Standard input is empty. `closed` and `out` replace a descriptor.
    Outcome vmm(std::vector<std::string> args, const char* out = nullptr, int closed = -1) const {
        return end_of(start(std::move(args), out, closed));
    }

    pid_t start(std::vector<std::string> args, const char* out = nullptr, int closed = -1) const {
        const auto out_file = (folder_ / "out").string();
        const auto err_file = (folder_ / "err").string();
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_addopen(&actions, 1, out != nullptr ? out : out_file.c_str(),
                                         O_WRONLY | O_CREAT | O_TRUNC, 0600);
        posix_spawn_file_actions_addopen(&actions, 2, err_file.c_str(),
                                         O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (closed >= 0)
            posix_spawn_file_actions_addclose(&actions, closed);
        std::string program = "vmm";
        std::vector<char*> argv{program.data()};
        for (auto& arg : args)
            argv.push_back(arg.data());
        argv.push_back(nullptr);
        pid_t pid = 0;
        EXPECT_EQ(posix_spawn(&pid, VMM_PROGRAM, &actions, nullptr, argv.data(), environ), 0);
        posix_spawn_file_actions_destroy(&actions);
        return pid;
    }

    Outcome end_of(pid_t pid) const {
        int status = 0;
        EXPECT_EQ(waitpid(pid, &status, 0), pid);
        return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
                content(folder_ / "out"), content(folder_ / "err")};
    }

    std::filesystem::path folder_;
};

}  // namespace vmm::cli
