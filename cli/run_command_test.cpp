// SPDX-License-Identifier: Apache-2.0
#include "cli/run_command.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace vmm::cli {
namespace {

TEST(RunCommandTest, TooManyOpenFilesAreTheHostsToAllow) {
    const Error error =
        explained(Error::os("open", EMFILE).context("disk d.img").as(ErrorKind::Config));

    EXPECT_EQ(error.kind(), ErrorKind::Os);
    EXPECT_EQ(error.report(),
              "error: disk d.img: open: Too many open files (errno 24)\n"
              "  help: Raise the hard limit of open files (ulimit -Hn, a systemd unit's "
              "LimitNOFILE=), or give the machine fewer devices and queues.\n");
}

TEST(RunCommandTest, OtherErrorsStayAsTheyAre) {
    const Error error = explained(Error::os("open", ENOENT).as(ErrorKind::Config).hint("Look."));

    EXPECT_EQ(error.kind(), ErrorKind::Config);
    EXPECT_EQ(error.report(), "error: open: No such file or directory (errno 2)\n  help: Look.\n");
}

}  // namespace
}  // namespace vmm::cli
