// SPDX-License-Identifier: Apache-2.0
#include "config/json_read.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/config_test_support.hpp"
#include "config/json_tree.hpp"
#include "config/json_write.hpp"

namespace vmm::config {
namespace {

using test::json_error;
using testing::ElementsAre;
using testing::HasSubstr;

VmConfig read(std::string_view text) {
    VmConfig config;
    const auto result = read_json(text, "vm.json", config);
    EXPECT_TRUE(result) << result.error().report();
    return config;
}

TEST(JsonReadTest, EmptyObjectIsAllDefaults) {
    EXPECT_EQ(read("{}"), VmConfig{});
}

TEST(JsonReadTest, KeysOfCloudHypervisorAreRead) {
    const auto config = read(R"({
        "cpus": {"boot_vcpus": 2, "max_vcpus": 4, "topology": {"threads_per_core": 2,
                 "cores_per_die": 2, "dies_per_package": 1, "packages": 1}},
        "memory": {"size": 1073741824, "shared": true, "hugepages": true, "hugepage_size": "2M"},
        "payload": {"kernel": "K", "initramfs": "I", "cmdline": "quiet", "firmware": null},
        "serial": {"mode": "Tty"},
        "console": {"mode": "Off", "file": null},
        "disks": [{"path": "a.img", "readonly": true}],
        "net": [{"tap": "t0", "mac": "52:54:00:12:34:56"}],
        "rng": {"src": "/dev/urandom"}
    })");

    EXPECT_EQ(config.cpus.boot_vcpus, 2U);
    EXPECT_EQ(config.cpus.max(), 4U);
    EXPECT_EQ(config.cpus.topology, (CpuTopology{.threads_per_core = 2, .cores_per_die = 2}));
    EXPECT_EQ(config.memory.size, 1073741824U);
    EXPECT_EQ(config.memory.shared, true);
    EXPECT_EQ(config.memory.hugepage_size, 2097152U);
    EXPECT_EQ(config.payload.kernel, "K");
    EXPECT_THAT(config.payload.initramfs, ElementsAre("I"));
    EXPECT_EQ(config.serial.mode, ConsoleMode::Tty);
    EXPECT_EQ(config.console, ConsoleConfig{});
    EXPECT_THAT(config.disks, ElementsAre(DiskConfig{.path = "a.img", .readonly = true}));
    EXPECT_EQ(config.net.at(0).tap, "t0");
    EXPECT_EQ(config.rng, RngConfig{.src = "/dev/urandom"});
}

TEST(JsonReadTest, AffinityIsAListOfObjectsAsInCloudHypervisor) {
    const auto config = read(R"({"cpus": {"boot_vcpus": 2, "affinity": [
        {"vcpu": 0, "host_cpus": [2, 3]}, {"host_cpus": [4], "vcpu": 1}]}})");

    EXPECT_THAT(config.cpus.affinity, ElementsAre(CpuAffinity{0, {2, 3}}, CpuAffinity{1, {4}}));
    EXPECT_TRUE(read(R"({"cpus": {"affinity": []}})").cpus.affinity.empty());
    EXPECT_TRUE(read(R"({"cpus": {"affinity": null}})").cpus.affinity.empty());
    EXPECT_EQ(json_error(R"({"cpus": {"affinity": "[0@[2]]"}})"),
              "error: vm.json:1:23: cpus.affinity: expected a list of objects (CpuAffinity), found "
              "a text\n");
    EXPECT_EQ(json_error(R"({"cpus": {"affinity": [{"vcpu": 0, "host_cpus": ["2-3"]}]}})"),
              "error: vm.json:1:50: cpus.affinity[0].host_cpus[0]: expected a whole number, found "
              "a text\n");
    EXPECT_EQ(json_error(R"({"cpus": {"affinity": [{"vcpu": 0, "host_cpus": [8192]}]}})"),
              "error: vm.json:1:50: cpus.affinity[0].host_cpus[0]: 8192 is too large\n"
              "  help: The most is 8191.\n");
}

TEST(JsonReadTest, LandlockRulesAreThoseOfCloudHypervisor) {
    const auto config = read(R"({"landlock_rules": [{"path": "/a", "access": "rw"},
        {"path": "/b", "access": "r"}]})");

    EXPECT_THAT(config.landlock_rules, ElementsAre(LandlockRule{"/a", LandlockAccess::ReadWrite},
                                                   LandlockRule{"/b", LandlockAccess::Read}));
    EXPECT_TRUE(read(R"({"landlock_rules": null})").landlock_rules.empty());
    EXPECT_EQ(json_error(R"({"landlock_rules": [{"path": "/a", "access": "x"}]})"),
              "error: vm.json:1:46: landlock_rules[0].access: 'x' is none of r, w, rw\n"
              "  help: Give one of these.\n");
}

TEST(JsonReadTest, InitramfsIsATextOrAList) {
    EXPECT_THAT(read(R"({"payload": {"initramfs": ["a", "b"]}})").payload.initramfs,
                ElementsAre("a", "b"));
    EXPECT_THAT(read(R"({"payload": {"initramfs": "a"}})").payload.initramfs, ElementsAre("a"));
}

TEST(JsonReadTest, FileMakesTheModeUnlessOneIsGiven) {
    EXPECT_EQ(read(R"({"serial": {"file": "/x"}})").serial.mode, ConsoleMode::File);
    EXPECT_EQ(read(R"({"serial": {"file": "/x", "mode": "null"}})").serial.mode, ConsoleMode::Null);
    EXPECT_EQ(read(R"({"serial": {"file": "/x", "mode": null}})").serial.mode, ConsoleMode::File);
}

TEST(JsonReadTest, ByteOrderMarkIsPassedOver) {
    EXPECT_EQ(read("\xEF\xBB\xBF{\"pvpanic\": true}").pvpanic, true);
    EXPECT_THAT(json_error("\xEF\xBB\xBF{\"pvpanik\": true}"), HasSubstr("vm.json:1:5: "));
}

TEST(JsonReadTest, CommaTooManyIsShownWithLineAndColumn) {
    EXPECT_EQ(
        json_error("{\n  \"memory\": {\"size\": \"1G\"},\n  \"cpus\": {\"boot_vcpus\": 1,, }\n}"),
        "error: vm.json:3:28: not JSON: while parsing object key - unexpected ','; expected "
        "string literal\n  help: Correct the text there, or shortly before it.\n");
    EXPECT_THAT(json_error("{\"pvpanic\": true,}"), HasSubstr("vm.json:1:18: not JSON: "));
}

TEST(JsonReadTest, TextThatEndsTooEarlyIsShownWithItsEnd) {
    EXPECT_THAT(json_error("{\"memory\":\n {"), HasSubstr("vm.json:2:3: not JSON: "));
    EXPECT_THAT(json_error("{\"memory"), HasSubstr("not JSON: "));
    EXPECT_EQ(json_error(" \n"),
              "error: vm.json is empty\n"
              "  help: Write at least {}; `vmm config show` writes a whole one.\n");
}

TEST(JsonReadTest, WhatStandsBehindTheObjectIsAnError) {
    EXPECT_THAT(json_error("{} {}"), HasSubstr("vm.json:1:4: not JSON: "));
}

TEST(JsonReadTest, UnknownKeyIsShownWithItsPlaceAndTheNearest) {
    EXPECT_EQ(
        json_error("{\"payload\": {},\n \"memroy\": {\"size\": 1}}"),
        "error: vm.json:2:2: unknown key 'memroy'\n"
        "  help: Did you mean 'memory'? Known keys: name, payload, cpus, memory, serial, "
        "console, console_ports, disks, net, rng, pvpanic, virtio_notify, on_reset, on_crash, "
        "on_panic, stop_timeout, landlock_rules, debug_exit.\n");
    EXPECT_EQ(json_error(R"({"cpus": {"boot": 1}})"),
              "error: vm.json:1:11: unknown key 'cpus.boot'\n"
              "  help: Did you mean 'boot_vcpus'? Known keys of cpus: boot_vcpus, max_vcpus, "
              "topology, affinity.\n");
    EXPECT_THAT(json_error(R"({"disks": [{}, {"pth": "x"}]})"),
                HasSubstr("vm.json:1:17: unknown key 'disks[1].pth'"));
}

TEST(JsonReadTest, WrongTypeNamesTheKeyAndWhatIsExpected) {
    EXPECT_EQ(
        json_error(R"({"memory": {"size": [1]}})"),
        "error: vm.json:1:21: memory.size: expected a size: a number of bytes, or a text such "
        "as \"512M\", found a list\n");
    EXPECT_EQ(json_error(R"({"memory": {"shared": "on"}})"),
              "error: vm.json:1:23: memory.shared: expected true or false, found a text\n");
    EXPECT_EQ(json_error(R"({"memory": 3})"),
              "error: vm.json:1:12: memory: expected an object (MemoryConfig), found a number\n");
    EXPECT_EQ(json_error(R"({"cpus": {"boot_vcpus": "2"}})"),
              "error: vm.json:1:25: cpus.boot_vcpus: expected a whole number, found a text\n");
    EXPECT_EQ(
        json_error(R"({"cpus": {"boot_vcpus": 1.5}})"),
        "error: vm.json:1:25: cpus.boot_vcpus: expected a whole number, found a number that is "
        "not whole, or too large\n");
    EXPECT_EQ(json_error(R"({"cpus": {"boot_vcpus": -1}})"),
              "error: vm.json:1:25: cpus.boot_vcpus: expected a whole number, found a negative "
              "number\n");
    EXPECT_EQ(json_error(R"({"payload": {"initramfs": ["a", 1]}})"),
              "error: vm.json:1:33: payload.initramfs[1]: expected a text, found a number\n");
    EXPECT_EQ(json_error(R"({"disks": {}})"),
              "error: vm.json:1:11: disks: expected a list of objects (DiskConfig), found an "
              "object\n");
    EXPECT_EQ(
        json_error(R"({"serial": {"mode": true}})"),
        "error: vm.json:1:21: serial.mode: expected one of off, null, tty, pty, file, socket, "
        "found true or false\n");
    EXPECT_EQ(json_error("[]"),
              "error: vm.json:1:1: expected an object (VmConfig), found a list\n");
}

TEST(JsonReadTest, BadValueNamesTheKeyAndItsPlace) {
    EXPECT_EQ(json_error("{\"memory\":\n{\"size\": \"lots\"}}"),
              "error: vm.json:2:10: memory.size: 'lots' is not a size\n"
              "  help: Give a whole number of bytes, or one followed by K, M, G or T, such as "
              "512M.\n");
    EXPECT_EQ(json_error(R"({"cpus": {"boot_vcpus": 0}})"),
              "error: vm.json:1:25: cpus.boot_vcpus: 0 is too small\n  help: The least is 1.\n");
    EXPECT_EQ(json_error(R"({"serial": {"mode": "telepathy"}})"),
              "error: vm.json:1:21: serial.mode: 'telepathy' is none of off, null, tty, pty, file, "
              "socket\n  help: Give one of these.\n");
    EXPECT_THAT(json_error(R"({"payload": {"kernel": "a\u0000b"}})"),
                HasSubstr("payload.kernel: a zero byte in the text"));
}

TEST(JsonReadTest, KeyGivenTwiceIsAnError) {
    EXPECT_EQ(json_error("{\"pvpanic\": true,\n\"pvpanic\": false}"),
              "error: vm.json:2:1: the key 'pvpanic' stands twice in one object\n"
              "  help: Remove one of the two.\n");
}

TEST(JsonReadTest, DepthIsBounded) {
    EXPECT_THAT(json_error(std::string(100000, '[')), HasSubstr("vm.json:1:17: nested too deep"));
}

TEST(JsonReadTest, TextThatIsNotUtf8IsAnError) {
    EXPECT_THAT(json_error("{\"payload\": {\"kernel\": \"\xff\"}}"), HasSubstr("not JSON: "));
}

TEST(JsonWriteTest, DefaultsAreWrittenAndWhatIsNotGivenIsNot) {
    EXPECT_EQ(to_json(VmConfig{}).value(), R"({
  "payload": {
    "unpack": "auto",
    "kaslr": false,
    "auto_cmdline": true
  },
  "cpus": {
    "boot_vcpus": 1
  },
  "memory": {
    "size": 536870912,
    "hugepages": false,
    "prefault": false,
    "thp": true
  },
  "serial": {
    "mode": "tty"
  },
  "console": {
    "mode": "off",
    "packed": true
  },
  "pvpanic": false,
  "virtio_notify": "auto",
  "on_reset": "reset",
  "on_crash": "exit",
  "on_panic": "exit",
  "stop_timeout": 5
}
)");
}

TEST(JsonWriteTest, EveryMemberReadsBack) {
    VmConfig config;
    config.name = "web";
    config.payload = {.kernel = "k \"ö\" \\",
                      .initramfs = {"a", "b"},
                      .cmdline = "c",
                      .firmware = "f",
                      .unpack = AutoSwitch::Off,
                      .kaslr = true,
                      .auto_cmdline = false};
    config.cpus = {.boot_vcpus = 8,
                   .max_vcpus = 16,
                   .topology = CpuTopology{2, 4, 1, 2},
                   .affinity = {{0, {2, 3}}, {7, {4}}}};
    config.memory = {.size = 1 << 30,
                     .shared = true,
                     .hugepages = true,
                     .hugepage_size = 2 << 20,
                     .prefault = true,
                     .thp = false,
                     .file = "ram"};
    config.serial = {.mode = ConsoleMode::File, .file = "s"};
    config.console = {.mode = ConsoleMode::Socket, .socket = "c"};
    config.console_ports = {
        ConsolePortConfig{.mode = ConsoleMode::Socket, .name = "p", .socket = "/q"},
        ConsolePortConfig{.mode = ConsoleMode::File, .name = "o", .file = "/f"}};
    config.disks = {DiskConfig{.path = "d",
                               .readonly = true,
                               .direct = true,
                               .block_size = 4096,
                               .physical_block_size = 16384,
                               .num_queues = 4,
                               .queue_size = 256,
                               .packed = false,
                               .serial = "sn",
                               .id = "i"},
                    DiskConfig{.path = "e"}};
    config.net = {NetConfig{.backend = NetBackendKind::User,
                            .tap = "t",
                            .fds = {3, 4},
                            .publish = {"1:2"},
                            .mac = "m",
                            .mtu = 9000,
                            .num_queues = 4,
                            .queue_size = 512,
                            .packed = false,
                            .id = "n"}};
    config.rng = RngConfig{.src = "/r", .packed = false};
    config.pvpanic = true;
    config.virtio_notify = VirtioNotify::Mmio;
    config.on_reset = OnReset::Exit;
    config.on_crash = OnCrash::Reset;
    config.on_panic = OnPanic::Continue;
    config.stop_timeout = 60;
    config.landlock_rules = {{"/a", LandlockAccess::Read}, {"/b", LandlockAccess::ReadWrite}};
    config.debug_exit = 0xf4;

    EXPECT_EQ(read(to_json(config).value()), config);
}

TEST(JsonWriteTest, TextThatIsNotUtf8IsAnError) {
    VmConfig config;
    config.payload.kernel = "\xff";

    EXPECT_EQ(to_json(config).error().report(),
              "error: a text in the configuration is not UTF-8\n"
              "  help: Use file names and a command line that are UTF-8; JSON can hold nothing "
              "else.\n");
}

TEST(JsonSchemaTest, DescribesTypesLimitsAndDefaults) {
    const auto tree = parse_json(json_schema(), "schema");

    ASSERT_TRUE(tree);
    EXPECT_THAT(json_schema(),
                HasSubstr("\"$schema\": \"https://json-schema.org/draft/2020-12/schema\""));
    EXPECT_THAT(json_schema(), HasSubstr("\"$ref\": \"#/$defs/MemoryConfig\""));
    EXPECT_THAT(json_schema(), HasSubstr("        \"boot_vcpus\": {\n"
                                         "          \"type\": [\n"
                                         "            \"integer\",\n"
                                         "            \"null\"\n"
                                         "          ],\n"
                                         "          \"minimum\": 1,\n"
                                         "          \"maximum\": 1024,\n"
                                         "          \"description\": \"vCPUs that the guest starts "
                                         "with.\",\n"
                                         "          \"default\": 1\n"));
}

std::string without_blanks(std::string text) {
    std::erase_if(text, [](char c) { return c == ' ' || c == '\n'; });
    return text;
}

TEST(JsonSchemaTest, AsksForWhatMustBeGiven) {
    const auto schema = without_blanks(json_schema());

    EXPECT_THAT(schema, HasSubstr(R"("required":["path"])"));
    EXPECT_THAT(schema, HasSubstr(R"("anyOf":[{"required":["mode"]},{"required":["file"]},)"
                                  R"({"required":["socket"]},{"required":["link"]}],)"
                                  R"("required":["name"])"));
    EXPECT_THAT(schema, HasSubstr(R"("path":{"type":"string","description")"));
}

TEST(JsonSchemaTest, TakesWhatTheReaderTakes) {
    const auto schema = without_blanks(json_schema());

    EXPECT_THAT(schema,
                HasSubstr(R"("on_reset":{"anyOf":[{"type":"string","enum":["reset","exit"]})"
                          R"(,{"type":"string","pattern":)"
                          R"("^([rR][eE][sS][eE][tT]|[eE][xX][iI][tT])$"},{"type":"null"}])"));
    EXPECT_THAT(schema, HasSubstr(R"("pattern":"^[0-9]+([bB]|[KMGTkmgt]([iI]?[bB])?)?$")"));
    EXPECT_THAT(schema, HasSubstr(R"({"anyOf":[{"$ref":"#/$defs/RngConfig"},{"type":"null"}])"));
}

}  // namespace
}  // namespace vmm::config
