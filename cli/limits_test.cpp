// SPDX-License-Identifier: Apache-2.0
// One table of configurations, through `vmm config check` and `vmm run`: what the one refuses the
// other refuses with the same words, and what the one lets through the other can build.
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "cli/program_test_support.hpp"

namespace vmm::cli {
namespace {

using testing::HasSubstr;
using Words = std::vector<std::string>;

class LimitsTest : public ProgramTest {
protected:
    Outcome check(const Words& words) const { return with({"config", "check"}, words); }
    Outcome run(const Words& words) const { return with({"run"}, words); }

private:
    Outcome with(Words command, const Words& words) const {
        command.insert(command.end(), words.begin(), words.end());
        return vmm(command);
    }
};

struct Example {
    Words words;
    const char* error;  ///< a part of it
};

// `K` is no file: whoever comes as far as opening it has let the configuration through.
const std::vector<Example>& bad_examples() {
    static const std::vector<Example> examples{
        {{}, "nothing to boot"},
        {{"-k", "K", "--firmware", "F"}, "both a kernel and a firmware"},
        {{"-k", "K", "--disk", "D,num_queues=256,queue_size=1024"}, "requests at a time"},
        {{"-k", "K", "--disk", "D,num_queues=257"}, "257 is too large"},
        {{"-k", "K", "--disk", "D,queue_size=100"}, "not a power of two"},
        {{"-k", "K", "--disk", "D,serial=123456789012345678901"}, "21 bytes are too long"},
        {{"-k", "K", "--disk", "D", "D"}, "the same file"},
        {{"-k", "K", "--disk", "D,id=rng", "--rng"}, "'rng' is the name of"},
        {{"-k", "K", "--debug-exit", "0x3f8"}, "overlap those of the serial port"},
        {{"-k", "K", "--debug-exit", "0x70"}, "overlap those of the real-time clock"},
        {{"-k", "K", "--debug-exit", "0x600"}, "overlap those of ACPI"},
        {{"-k", "K", "--debug-exit", "0xcf8", "--rng"}, "overlap those of PCI configuration"},
        {{"-k", "K", "--debug-exit", "0x1000", "--rng"}, "overlap those of PCI devices"},
        {{"-k", "K", "--debug-exit", "0xfffe"}, "65534 is too large"},
        {{"-k", "K", "--num-cpu", "1025"}, "1025 is too large"},
        {{"-k", "K", "--num-cpu", "0"}, "0 is too small"},
        {{"-k", "K", "--cpus", "9,topology=1:1:9:1"}, "dies_per_package: 9 is too large"},
        {{"-k", "K", "--cpus", "514,topology=257:2:1:1"}, "threads_per_core: 257 is too large"},
        {{"-k", "K", "--cpus", "4,topology=1:1:1:3"}, "makes 3 vCPUs, but there are 4"},
        {{"-k", "K", "--cpus", "2,max=4"}, "not supported yet"},
        {{"-k", "K", "--memory", "3M"}, "3M is too small"},
        {{"-k", "K", "--memory", "65T"}, "65T is too large"},
        {{"-k", "K", "--memory", "5000000"}, "not a multiple of 4 KiB"},
        {{"-k", "K", "--net", "tap=a,mtu=65522"}, "65522 is too large"},
        {{"-k", "K", "--net", "user,mtu=65521"}, "at most 65520"},
        {{"-k", "K", "--net", "user,num_queues=4"}, "passt has one pair"},
        {{"-k", "K", "--net", "tap=a,num_queues=514"}, "514 is too large"},
        {{"-k", "K", "--net", "tap=sixteen-letters-"}, "too long for an interface"},
        {{"-k", "K", "--net", "user,publish=1:2:3"}, "is not an address of the host"},
        {{"-k", "K", "--net", "user,publish=[1:2,0.0.0.0:1:3]"}, "want the same port of the host"},
        {{"-k", "K", "--console-port", "name=a"}, "has no backend"},
        {{"-k", "K", "--disk", "[a,b]"}, "a list where one value is wanted"},
        {{"-k", "K", "--serial", "tty", "--console", "tty"}, "want the terminal"},
        {{"-k", "K", "-hda", "D"}, "unknown flag '-hda'"},
        {{"-k", "K", "a.json"}, "unexpected argument 'a.json'"},
    };
    return examples;
}

TEST_F(LimitsTest, CheckAndRunRefuseTheSameInTheSameWords) {
    for (const auto& [words, error] : bad_examples()) {
        const auto checked = check(words);
        const auto ran = run(words);

        const auto what = ::testing::PrintToString(words);
        EXPECT_EQ(checked.code, 2) << what << checked.err;
        EXPECT_EQ(ran.code, 2) << what << ran.err;
        EXPECT_THAT(checked.err, HasSubstr(error)) << what;
        EXPECT_THAT(checked.err, HasSubstr("\n  help: ")) << what;
        auto same = ran.err;  // the help names the command that it belongs to
        for (auto at = same.find("vmm run --"); at != std::string::npos;
             at = same.find("vmm run --"))
            same.replace(at, std::strlen("vmm run --"), "vmm config check --");
        EXPECT_EQ(checked.err, same) << what;
    }
}

TEST_F(LimitsTest, WhatCheckLetsThroughCanBeBuilt) {
    const auto kernel = file("payload", payload());
    const auto disk = file("disk", std::string(4096, '\0'));
    const std::vector<Words> examples{
        {"--debug-exit", "0xf4"},
        {"--debug-exit", "0x3f8", "--serial", "off"},
        {"--debug-exit", "0xfffc"},
        {"--debug-exit", "0xf4", "--disk", disk + ",num_queues=64,queue_size=1024"},
        {"--debug-exit", "0xf4", "--disk", disk + ",num_queues=256,queue_size=256"},
        {"--debug-exit", "0xf4", "--cpus", "8,topology=1:1:8:1"},
        {"--debug-exit", "0xf4", "--memory", "4M"},
        {"--debug-exit", "0xf4", "--rng", "--pvpanic", "--console", "null", "--console-port",
         "name=a,null"},
    };
    for (const auto& example : examples) {
        Words words{"-k", kernel, "--serial", "null", "--memory", "16M"};
        words.insert(words.end(), example.begin(), example.end());
        const auto checked = check(words);
        EXPECT_EQ(checked.out, "ok\n") << ::testing::PrintToString(example) << checked.err;
    }
    if (::access("/dev/kvm", R_OK | W_OK) != 0)
        GTEST_SKIP() << "/dev/kvm cannot be used here: checked, but not run";
    for (const auto& example : examples) {
        Words words{"-k", kernel, "--serial", "null", "--memory", "16M"};
        words.insert(words.end(), example.begin(), example.end());
        const auto ran = run(words);
        EXPECT_EQ(ran.code, 0) << ::testing::PrintToString(example) << ran.err;
    }
}

}  // namespace
}  // namespace vmm::cli
