// SPDX-License-Identifier: Apache-2.0
#include "machine/sandboxing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "vmm/text.hpp"

namespace vmm::machine {
namespace {

using sandbox::PathAccess;
using testing::ElementsAre;

std::vector<std::string> rules_of(const VmConfig& config, const sandbox::Options& options = {}) {
    std::vector<std::string> texts;
    for (const auto& rule : paths_in_use(config, options))
        texts.push_back(cat(rule.path, " ", static_cast<int>(rule.access)));
    return texts;
}

std::string rule(std::string_view path, PathAccess access) {
    return cat(path, " ", static_cast<int>(access));
}

TEST(SandboxingTest, MachineOnATerminalNeedsNoPath) {
    VmConfig config;
    config.serial.mode = ConsoleMode::Tty;
    config.disks = {{.path = "/srv/disk.img"}};
    config.console.mode = ConsoleMode::File;
    config.console.file = "/srv/log";

    EXPECT_THAT(rules_of(config), ElementsAre());
}

TEST(SandboxingTest, WhatIsMadeAtThePathsIsRemovedAtTheEnd) {
    VmConfig config;
    config.serial.mode = ConsoleMode::Socket;
    config.serial.socket = "/run/vm/serial";
    config.console.mode = ConsoleMode::Pty;
    config.console.link = "console";
    config.console_ports = {{.mode = ConsoleMode::Socket, .name = "a", .socket = "/run/vm/a"}};
    config.memory.file = "/ram";

    EXPECT_THAT(rules_of(config),
                ElementsAre(rule("/run/vm", PathAccess::Remove), rule(".", PathAccess::Remove),
                            rule("/", PathAccess::Remove)));
}

TEST(SandboxingTest, PidFileIsLinkedIntoItsFolder) {
    VmConfig config;
    config.serial.mode = ConsoleMode::Socket;
    config.serial.socket = "/run/vm/serial";
    sandbox::Options options;
    options.published = {"/run/vm/pid"};

    EXPECT_THAT(rules_of(config, options), ElementsAre(rule("/run/vm", PathAccess::Publish)));
}

TEST(SandboxingTest, RulesOfTheUserFollow) {
    VmConfig config;
    config.landlock_rules = {{"/srv", LandlockAccess::Read}, {"/tmp", LandlockAccess::ReadWrite}};

    EXPECT_THAT(rules_of(config),
                ElementsAre(rule("/srv", PathAccess::Read), rule("/tmp", PathAccess::ReadWrite)));
    EXPECT_EQ(paths_in_use(config, {}).at(1).whose, "landlock_rules[1] (--landlock-rules)");
}

}  // namespace
}  // namespace vmm::machine
