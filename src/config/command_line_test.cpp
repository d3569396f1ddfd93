// SPDX-License-Identifier: Apache-2.0
#include "config/command_line.hpp"

#include <gtest/gtest.h>

#include "config/board.hpp"
#include "config/config_test_support.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

using test::good;

const std::string kSerialConsole = cat("console=", board().serial_console);

TEST(CmdlineTest, ConsoleIsPutInFront) {
    auto config = good();
    EXPECT_EQ(effective_cmdline(config), cat(kSerialConsole, " initcall_blacklist=jent_mod_init"));

    config.payload.cmdline = "quiet -- console=x";
    EXPECT_EQ(effective_cmdline(config),
              cat(kSerialConsole, " initcall_blacklist=jent_mod_init quiet -- console=x"));

    config.payload.cmdline = effective_cmdline(config);
    EXPECT_EQ(effective_cmdline(config),
              cat(kSerialConsole, " initcall_blacklist=jent_mod_init quiet -- console=x"));
}

TEST(CmdlineTest, ConsoleThatIsThereStays) {
    auto config = good();
    config.payload.cmdline = "quiet console=tty0";
    EXPECT_EQ(effective_cmdline(config), "initcall_blacklist=jent_mod_init quiet console=tty0");

    config.payload.cmdline = R"(x="a console=b" noconsole=1)";
    EXPECT_EQ(
        effective_cmdline(config),
        cat(kSerialConsole, R"( initcall_blacklist=jent_mod_init x="a console=b" noconsole=1)"));
}

TEST(CmdlineTest, FipsModeKeepsItsJitterSource) {
    auto config = good();
    config.payload.cmdline = "fips=1";

    EXPECT_EQ(effective_cmdline(config), cat(kSerialConsole, " fips=1"));
}

TEST(CmdlineTest, NoConsoleIsNamedWhereThereIsNoneAndNothingWhenSwitchedOff) {
    auto off = good();
    off.payload.auto_cmdline = false;
    auto mute = good();
    mute.serial.mode = ConsoleMode::Null;
    auto virtio = good();
    virtio.serial.mode = ConsoleMode::Off;
    virtio.console.mode = ConsoleMode::Pty;

    EXPECT_EQ(effective_cmdline(off), "");
    EXPECT_EQ(effective_cmdline(mute), "initcall_blacklist=jent_mod_init");
    EXPECT_EQ(effective_cmdline(virtio), "console=hvc0 initcall_blacklist=jent_mod_init");
}

}  // namespace
}  // namespace vmm::config
