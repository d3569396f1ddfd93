// Standard error and the log when nobody reads them.
#include <sys/stat.h>

#include <csignal>

#include "rig.hpp"

namespace vmm::endings {
namespace {

using MessagesTest = EndingTest;

TEST_F(MessagesTest, FullPipeAtStandardErrorStopsNothing) {
    Child vmm{run({"-l", "trace", "--on-crash", "reset"}), {.full_error = true}};
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(vmm.says("ready"));
        vmm.type("t");
    }
    ASSERT_TRUE(vmm.says("ready"));
    vmm.send(SIGTERM);  // two that the kernel does not make one of
    vmm.send(SIGINT);

    EXPECT_THAT(vmm.end(), testing::AnyOf(128 + SIGTERM, 128 + SIGINT));
}

TEST_F(MessagesTest, FullPipeAtStandardErrorDoesNotStopAnError) {
    Child vmm{{"run"}, {.full_error = true}};

    EXPECT_EQ(vmm.end(), 2);
}

TEST_F(MessagesTest, NamedPipeWithoutAReaderIsRefusedAsALogFile) {
    const auto pipe = path("log");
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    Child vmm{run({"--log-file", pipe}), {}};

    EXPECT_EQ(vmm.end(), 2);
    EXPECT_EQ(vmm.error(), "error: open log file " + pipe +
                               ": open: No such device or address (errno 6)\n"
                               "  help: If this is a named pipe, start its reader first; for "
                               "standard error leave --log-file out.\n");
}

}  // namespace
}  // namespace vmm::endings
