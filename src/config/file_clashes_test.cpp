// SPDX-License-Identifier: Apache-2.0
#include "config/file_clashes.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "vmm/text.hpp"

namespace vmm::config {
namespace {

class FileClashesTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = "/tmp/vmm-clashes-test-XXXXXX";
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        folder_ = name;
        config_.payload.kernel = file("kernel");
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::string path(std::string_view name) const { return cat(folder_, "/", name); }
    std::string file(std::string_view name) const {
        std::ofstream{path(name)} << name;
        return path(name);
    }
    std::string error(const OtherFiles& others = {}) const {
        const auto result = check_files(config_, others);
        if (result)
            return "no error";
        EXPECT_EQ(result.error().kind(), ErrorKind::Config);
        return result.error().report();
    }
    void serial_to(std::string name) {
        config_.serial = {.mode = ConsoleMode::File, .file = std::move(name)};
    }

    std::string folder_;
    VmConfig config_;
};

TEST_F(FileClashesTest, FilesOfTheirOwnAreFine) {
    config_.payload.initramfs = {file("archive"), path("archive")};
    config_.disks = {{.path = file("a")}, {.path = file("b")}};
    config_.memory.file = path("ram");
    config_.rng = RngConfig{.src = "/dev/urandom"};
    serial_to(path("serial"));
    config_.console = {.mode = ConsoleMode::File, .file = path("console")};

    EXPECT_EQ(error({.config = file("vm.json"), .log = path("log")}), "no error");
}

TEST_F(FileClashesTest, OutputIsNoDiskUnderAnyName) {
    config_.disks = {{.path = file("a")}, {.path = file("d.img")}};
    std::filesystem::create_hard_link(path("d.img"), path("hard"));
    std::filesystem::create_symlink(path("d.img"), path("soft"));

    serial_to(path("d.img"));
    EXPECT_EQ(error(),
              cat("error: disks[1] (--disk) and serial.file (--serial) are the same file: '",
                  path("d.img"),
                  "'\n  help: Name another file for serial.file (--serial): the output "
                  "would destroy what is in this one.\n"));

    for (const auto* const name : {"hard", "soft"}) {
        config_.serial = {};
        config_.console = {.mode = ConsoleMode::File, .file = path(name)};
        EXPECT_EQ(error(),
                  cat("error: disks[1] (--disk) and console.file (--console) are the same file: '",
                      path("d.img"), "' and '", path(name),
                      "'\n  help: Name another file for console.file (--console): the output "
                      "would destroy what is in this one.\n"));
    }
}

TEST_F(FileClashesTest, OutputIsNothingThatTheMachineReads) {
    const auto begin = [&](std::string_view who) {
        return cat("error: ", who,
                   " and console_ports[0].file (--console-port) are the same file: ");
    };
    const auto with_port_on = [&](const std::string& name, const std::string& config = "") {
        config_.console_ports = {{.mode = ConsoleMode::File, .name = "p", .file = name}};
        const auto text = error({.config = config});
        return text.substr(0, text.find('\''));
    };
    config_.payload.initramfs = {file("archive")};
    config_.memory.file = path("ram");
    config_.rng = RngConfig{.src = file("seed")};

    EXPECT_EQ(with_port_on(path("kernel")), begin("payload.kernel (--kernel)"));
    EXPECT_EQ(with_port_on(path("archive")), begin("payload.initramfs (--initramfs)"));
    EXPECT_EQ(with_port_on(path("seed")), begin("rng.src (--rng)"));
    EXPECT_EQ(with_port_on(cat(folder_, "/../", folder_.substr(5), "/ram")),
              begin("memory.file (--memory)"));
    EXPECT_EQ(with_port_on(path("vm.json"), file("vm.json")),
              begin("the configuration (--config)"));
    config_.payload = {.firmware = file("firmware")};
    EXPECT_EQ(with_port_on(path("firmware")), begin("payload.firmware (--firmware)"));
}

TEST_F(FileClashesTest, LogIsAnOutput) {
    EXPECT_EQ(error({.log = path("kernel")}),
              cat("error: payload.kernel (--kernel) and the log (--log-file) are the same file: '",
                  path("kernel"),
                  "'\n  help: Name another file for the log (--log-file): the output would destroy "
                  "what is in this one.\n"));
}

TEST_F(FileClashesTest, PidFileIsAnOutput) {
    config_.disks = {{.path = file("d.img")}};
    EXPECT_EQ(error({.pid = path("d.img")}),
              cat("error: disks[0] (--disk) and the process id (--pid-file) are the same file: '",
                  path("d.img"),
                  "'\n  help: Name another file for the process id (--pid-file): the output would "
                  "destroy what is in this one.\n"));
}

TEST_F(FileClashesTest, OutputsDoNotShareAFileThatIsNotThereYet) {
    serial_to(path("out"));

    EXPECT_EQ(
        error({.log = cat(folder_, "/./out")}),
        cat("error: serial.file (--serial) and the log (--log-file) are the same file: '",
            path("out"), "' and '", folder_, "/./out'\n  help: Give each a file of its own.\n"));
}

TEST_F(FileClashesTest, OutputsMayShareADevice) {
    serial_to("/dev/null");
    config_.console = {.mode = ConsoleMode::File, .file = "/dev/null"};

    EXPECT_EQ(error({.log = "/dev/null"}), "no error");
}

TEST_F(FileClashesTest, OutputsMayShareWhatIsOpenAlready) {
    // A pipe or a log that was opened for appending, under two names.
    const int fd = ::open(file("app.log").c_str(), O_WRONLY | O_APPEND);
    ASSERT_GE(fd, 0);
    serial_to(cat("/dev/fd/", fd));
    config_.console = {.mode = ConsoleMode::File, .file = cat("/proc/self/fd/", fd)};
    EXPECT_EQ(error(), "no error");

    config_.console.file = path("app.log");
    EXPECT_EQ(error(),
              cat("error: serial.file (--serial) and console.file (--console) are the same file: "
                  "'/dev/fd/",
                  fd, "' and '", path("app.log"), "'\n  help: Give each a file of its own.\n"));
    ::close(fd);
}

TEST_F(FileClashesTest, DescriptorOfADiskIsNoOutput) {
    config_.disks = {{.path = file("d.img")}};
    const int fd = ::open(path("d.img").c_str(), O_WRONLY);
    ASSERT_GE(fd, 0);
    serial_to(cat("/dev/fd/", fd));

    EXPECT_THAT(error(), testing::HasSubstr("disks[0] (--disk) and serial.file (--serial) are the "
                                            "same file"));
    ::close(fd);
}

TEST_F(FileClashesTest, LinkToATerminalTakesNoNameOfAFile) {
    file("d.img");
    std::filesystem::create_symlink(path("d.img"), path("disk"));
    config_.disks = {{.path = path("disk")}};
    config_.serial = {.mode = ConsoleMode::Pty, .link = cat(folder_, "/./disk")};
    EXPECT_EQ(error(), cat("error: serial.link (--serial) is the name of disks[0] (--disk): '",
                           folder_, "/./disk'\n  help: Give the link a name of its own.\n"));

    config_.serial.link = path("tty");
    config_.console_ports = {{.mode = ConsoleMode::Pty, .name = "p", .link = path("kernel")}};
    EXPECT_EQ(error(), cat("error: console_ports[0].link (--console-port) is the name of "
                           "payload.kernel (--kernel): '",
                           path("kernel"), "'\n  help: Give the link a name of its own.\n"));
}

TEST_F(FileClashesTest, MemoryIsNoDisk) {
    config_.disks = {{.path = file("d.img"), .readonly = true}};
    config_.memory.file = path("d.img");

    EXPECT_EQ(error(),
              cat("error: disks[0] (--disk) and memory.file (--memory) are the same file: '",
                  path("d.img"), "'\n  help: Give the guest's RAM a file of its own.\n"));
}

TEST_F(FileClashesTest, DiskIsThereTwiceOnlyToRead) {
    config_.disks = {{.path = file("d.img"), .readonly = true},
                     {.path = file("e.img")},
                     {.path = path("d.img"), .readonly = true}};
    EXPECT_EQ(error(), "no error");

    config_.disks[2].readonly = false;
    EXPECT_EQ(
        error(),
        cat("error: disks[0] (--disk) and disks[2] (--disk) are the same file, which "
            "one of them may write to: '",
            path("d.img"), "'\n  help: Give each disk a file of its own, or both readonly=on.\n"));
}

}  // namespace
}  // namespace vmm::config
