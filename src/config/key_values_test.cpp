// SPDX-License-Identifier: Apache-2.0
#include "config/key_values.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/vm_config.hpp"

namespace vmm::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Object& table(std::string_view key) {
    return *find_key(vm_schema(), key)->object;
}

std::string error_of(std::string_view key, void* object, std::string_view text) {
    const auto result = set_from_text(table(key), object, text);
    return result ? "no error" : result.error().report();
}

TEST(KeyValuesTest, FirstValueMayStandWithoutItsKey) {
    MemoryConfig bare;
    MemoryConfig named;

    ASSERT_TRUE(set_from_text(table("memory"), &bare, "4G"));
    ASSERT_TRUE(set_from_text(table("memory"), &named, "size=4G"));

    EXPECT_EQ(bare.size, 4294967296U);
    EXPECT_EQ(named, bare);
}

TEST(KeyValuesTest, KeysNotGivenStayAsTheyAre) {
    MemoryConfig memory{.size = 1 << 30, .shared = true};

    ASSERT_TRUE(set_from_text(table("memory"), &memory, "hugepages=on"));

    EXPECT_EQ(memory.size, 1073741824U);
    EXPECT_EQ(memory.shared, true);
    EXPECT_TRUE(memory.hugepages);
}

TEST(KeyValuesTest, BareSwitchIsOn) {
    MemoryConfig memory;

    ASSERT_TRUE(set_from_text(table("memory"), &memory, "1G,shared,prefault,thp=off"));

    EXPECT_EQ(memory.shared, true);
    EXPECT_TRUE(memory.prefault);
    EXPECT_FALSE(memory.thp);
}

TEST(KeyValuesTest, FirstBareSwitchIsASwitchUnlessTheFirstKeyTakesAnyText) {
    MemoryConfig memory;
    DiskConfig disk;

    ASSERT_TRUE(set_from_text(table("memory"), &memory, "shared"));
    ASSERT_TRUE(set_from_text(table("disks"), &disk, "readonly"));

    EXPECT_EQ(memory.shared, true);
    EXPECT_EQ(disk.path, "readonly");
    EXPECT_FALSE(disk.readonly);
}

TEST(KeyValuesTest, BracketsThatAreNotAroundTheWholeValueArePartOfIt) {
    const auto path_of = [](std::string_view text) {
        DiskConfig disk;
        const auto done = set_from_text(table("disks"), &disk, text);
        return done ? disk.path : done.error().report();
    };
    EXPECT_EQ(path_of("[x].img"), "[x].img");
    EXPECT_EQ(path_of("[x].img,ro"), "[x].img");
    EXPECT_EQ(path_of("path=[a,b].img,ro"), "[a,b].img");
    EXPECT_EQ(path_of("[x]"), "[x]");
    EXPECT_EQ(path_of("a[1].img"), "a[1].img");
    EXPECT_THAT(path_of("[a,b]"), HasSubstr("a list where one value is wanted"));
    EXPECT_THAT(path_of("[x.img"), HasSubstr("if it begins with a [."));

    NetConfig net;
    ASSERT_TRUE(set_from_text(table("net"), &net, "user,publish=[::1]:80:80"));
    EXPECT_THAT(net.publish, ElementsAre("[::1]:80:80"));
    NetConfig list;
    ASSERT_TRUE(set_from_text(table("net"), &list, "user,publish=[[::1]:80:80,\"81:81\",82:82]"));
    EXPECT_THAT(list.publish, ElementsAre("[::1]:80:80", "81:81", "82:82"));
}

TEST(KeyValuesTest, BareChoiceMayStandAnywhere) {
    ConsolePortConfig first;
    ConsolePortConfig last;
    ConsolePortConfig implied;
    NetConfig net;

    ASSERT_TRUE(set_from_text(table("console_ports"), &first, "pty,name=agent"));
    ASSERT_TRUE(set_from_text(table("console_ports"), &last, "name=agent,pty"));
    ASSERT_TRUE(set_from_text(table("console_ports"), &implied, "name=agent,socket=/s"));
    ASSERT_TRUE(set_from_text(table("net"), &net, "publish=1:2,user"));

    EXPECT_EQ(first, (ConsolePortConfig{.mode = ConsoleMode::Pty, .name = "agent"}));
    EXPECT_EQ(last, first);
    EXPECT_EQ(implied,
              (ConsolePortConfig{.mode = ConsoleMode::Socket, .name = "agent", .socket = "/s"}));
    EXPECT_EQ(net.backend, NetBackendKind::User);
}

TEST(KeyValuesTest, ErrorsAboutAPortSayWhatIsPossible) {
    ConsolePortConfig port;
    const auto error = [&](std::string_view text) {
        return error_of("console_ports", &port, text);
    };

    EXPECT_EQ(error("agent,pty"),
              "error: mode: 'agent' is none of off, null, tty, pty, file, socket\n"
              "  help: Give one of these.\n");
    EXPECT_EQ(error("name=a,mode=soket"),
              "error: mode: 'soket' is none of off, null, tty, pty, file, socket\n"
              "  help: Did you mean 'socket'?\n");
    EXPECT_EQ(
        error("name=a,soket"),
        "error: 'soket' is not a switch, and has no key\n"
        "  help: Did you mean 'socket'? Write key=value. Known keys: mode, name, file, socket, "
        "link, off, null, tty, pty.\n");
    EXPECT_EQ(error("nmae=a,tty"),
              "error: unknown key 'nmae'\n"
              "  help: Did you mean 'name'? Known keys: mode, name, file, socket, link.\n");
    EXPECT_EQ(error("name=a,name=b"), "error: name: given twice\n  help: Give it once.\n");
    EXPECT_EQ(error("pty,name=a,tty"), "error: mode: given twice\n  help: Give it once.\n");
    EXPECT_EQ(error("tty,name=" + std::string(65, 'n')),
              "error: name: 65 bytes are too long\n  help: At most 64 bytes are possible.\n");
}

TEST(KeyValuesTest, AliasesAreKeys) {
    CpusConfig cpus;
    DiskConfig disk;

    ASSERT_TRUE(set_from_text(table("cpus"), &cpus, "boot=2,max=4"));
    ASSERT_TRUE(set_from_text(table("disks"), &disk, "a.img,ro"));

    EXPECT_EQ(cpus.boot_vcpus, 2U);
    EXPECT_EQ(cpus.max_vcpus, 4U);
    EXPECT_TRUE(disk.readonly);
}

TEST(KeyValuesTest, TopologyIsFourNumbersWithColons) {
    CpusConfig cpus;

    ASSERT_TRUE(set_from_text(table("cpus"), &cpus, "8,topology=2:4:1:1"));

    EXPECT_EQ(cpus.topology, (CpuTopology{.threads_per_core = 2, .cores_per_die = 4}));
}

TEST(KeyValuesTest, BadTopologyIsAnError) {
    CpusConfig cpus;

    EXPECT_EQ(error_of("cpus", &cpus, "topology=2:4"),
              "error: topology: not 4 numbers with colons\n"
              "  help: Write threads_per_core:cores_per_die:dies_per_package:packages, such as "
              "1:4:1:2.\n");
    EXPECT_EQ(error_of("cpus", &cpus, "topology=1:2:3:4:5"),
              "error: topology: not 4 numbers with colons\n"
              "  help: Write threads_per_core:cores_per_die:dies_per_package:packages, such as "
              "1:4:1:2.\n");
    EXPECT_EQ(error_of("cpus", &cpus, "topology=0:1:1:1"),
              "error: topology: threads_per_core: 0 is too small\n  help: The least is 1.\n");
    EXPECT_EQ(error_of("cpus", &cpus, "topology=1::1:1"),
              "error: topology: cores_per_die: '' is not a number\n"
              "  help: Give a whole number, in decimal or with 0x in front in hexadecimal.\n");
}

TEST(KeyValuesTest, QuotesHoldCommasAndQuotes) {
    DiskConfig disk;

    ASSERT_TRUE(set_from_text(table("disks"), &disk, R"("a,b=\"c\"\\d.img",serial="x,y")"));

    EXPECT_EQ(disk.path, R"(a,b="c"\d.img)");
    EXPECT_EQ(disk.serial, "x,y");
}

TEST(KeyValuesTest, BracketsInsideABareValueAreNoList) {
    DiskConfig disk;

    ASSERT_TRUE(set_from_text(table("disks"), &disk, "disk[1].img,ro"));

    EXPECT_EQ(disk.path, "disk[1].img");
}

TEST(KeyValuesTest, ListsStandInBracketsOrRepeatTheKey) {
    NetConfig brackets;
    NetConfig repeated;

    ASSERT_TRUE(set_from_text(table("net"), &brackets, "user,publish=[1:2,3:4]"));
    ASSERT_TRUE(set_from_text(table("net"), &repeated, "user,publish=1:2,publish=3:4"));

    EXPECT_THAT(brackets.publish, ElementsAre("1:2", "3:4"));
    EXPECT_EQ(repeated, brackets);
}

TEST(KeyValuesTest, ListOfNumbersIsRead) {
    NetConfig net;

    ASSERT_TRUE(set_from_text(table("net"), &net, "fd=[3,4],num_queues=4"));

    EXPECT_THAT(net.fds, ElementsAre(3, 4));
}

TEST(KeyValuesTest, BareFirstWordOfNetIsABackendOrATap) {
    NetConfig user;
    NetConfig tap;

    ASSERT_TRUE(set_from_text(table("net"), &user, "user"));
    ASSERT_TRUE(set_from_text(table("net"), &tap, "vmtap0"));

    EXPECT_EQ(user.backend, NetBackendKind::User);
    EXPECT_EQ(tap.backend, NetBackendKind::Tap);
    EXPECT_EQ(tap.tap, "vmtap0");
}

TEST(KeyValuesTest, FileOrSocketMakesTheMode) {
    SerialConfig file;
    SerialConfig socket;
    SerialConfig given;

    ASSERT_TRUE(set_from_text(table("serial"), &file, "file=/tmp/a=b"));
    ASSERT_TRUE(set_from_text(table("serial"), &socket, "socket=/tmp/s"));
    ASSERT_TRUE(set_from_text(table("serial"), &given, "null,file=/tmp/x"));

    EXPECT_EQ(file, (SerialConfig{.mode = ConsoleMode::File, .file = "/tmp/a=b"}));
    EXPECT_EQ(socket, (SerialConfig{.mode = ConsoleMode::Socket, .socket = "/tmp/s"}));
    EXPECT_EQ(given.mode, ConsoleMode::Null);
}

TEST(KeyValuesTest, AffinityIsAListOfVcpusWithTheirHostCpus) {
    CpusConfig cpus;

    ASSERT_TRUE(set_from_text(table("cpus"), &cpus,
                              "4,affinity=[0@[2,3],1@[4-6,1,5],2@7,3@[0x8]],"
                              "topology=1:4:1:1"));

    EXPECT_THAT(cpus.affinity, ElementsAre(CpuAffinity{0, {2, 3}}, CpuAffinity{1, {4, 5, 6, 1}},
                                           CpuAffinity{2, {7}}, CpuAffinity{3, {8}}));
    EXPECT_EQ(cpus.boot_vcpus, 4U);
    EXPECT_TRUE(cpus.topology);
}

TEST(KeyValuesTest, AffinityReplacesWhatWasThereAndMayBeRepeated) {
    CpusConfig cpus{.affinity = {{0, {2, 3}}, {1, {4}}}};

    ASSERT_TRUE(set_from_text(table("cpus"), &cpus, "boot=2"));
    EXPECT_EQ(cpus.affinity.size(), 2U);
    ASSERT_TRUE(set_from_text(table("cpus"), &cpus, "affinity=[0@[5]],affinity=1@6"));
    EXPECT_THAT(cpus.affinity, ElementsAre(CpuAffinity{0, {5}}, CpuAffinity{1, {6}}));
    ASSERT_TRUE(set_from_text(table("cpus"), &cpus, "affinity=[]"));
    EXPECT_THAT(cpus.affinity, ElementsAre());
}

TEST(KeyValuesTest, BadAffinityIsAnError) {
    CpusConfig cpus;
    const std::string form =
        "  help: Write a list with an entry for each vCPU, such as [0@[2,3],1@[4-6]].\n";

    EXPECT_EQ(error_of("cpus", &cpus, "affinity=[0:2]"),
              "error: affinity: '0:2' is not VCPU@[CPUS]\n" + form);
    EXPECT_EQ(error_of("cpus", &cpus, "affinity=0@[2,3]"),
              "error: affinity: '0@[2' is not VCPU@[CPUS]\n" + form);
    EXPECT_EQ(error_of("cpus", &cpus, "affinity=[0@[2]x]"),
              "error: affinity: '0@[2]x' is not VCPU@[CPUS]\n" + form);
    EXPECT_EQ(error_of("cpus", &cpus, "affinity=[0@[2,3]"),
              "error: a list is not closed\n  help: Add a ] at its end, or put the value between "
              "quotes if it begins with a [.\n");
    EXPECT_EQ(error_of("cpus", &cpus, "affinity=[x@[2]]"),
              "error: affinity: vcpu: 'x' is not a number\n"
              "  help: Give a whole number, in decimal or with 0x in front in hexadecimal.\n");
    EXPECT_EQ(error_of("cpus", &cpus, "affinity=[1024@[2]]"),
              "error: affinity: vcpu: 1024 is too large\n  help: The most is 1023.\n");
    EXPECT_EQ(error_of("cpus", &cpus, "affinity=[0@[2,,3]]"),
              "error: affinity: host_cpus: '' is not a number\n"
              "  help: Give a whole number, in decimal or with 0x in front in hexadecimal.\n");
    EXPECT_EQ(error_of("cpus", &cpus, "affinity=[0@[2,]]"),
              "error: affinity: host_cpus: '' is not a number\n"
              "  help: Give a whole number, in decimal or with 0x in front in hexadecimal.\n");
    EXPECT_EQ(error_of("cpus", &cpus, "affinity=[0@[6-4]]"),
              "error: affinity: host_cpus: the range '6-4' ends before it begins\n"
              "  help: Write 4-6.\n");
    EXPECT_EQ(error_of("cpus", &cpus, "affinity=[0@[0-8192]]"),
              "error: affinity: host_cpus: 8192 is too large\n  help: The most is 8191.\n");
}

TEST(KeyValuesTest, UnknownKeyListsAllAndNamesTheNearest) {
    MemoryConfig memory;

    EXPECT_EQ(error_of("memory", &memory, "sise=1G"),
              "error: unknown key 'sise'\n"
              "  help: Did you mean 'size'? Known keys: size, shared, hugepages, hugepage_size, "
              "prefault, thp, file.\n");
}

TEST(KeyValuesTest, KeysAreListedByTheirNamesAndFoundInAnyCase) {
    DiskConfig disk;
    CpusConfig cpus;
    const std::string keys =
        "Known keys: path, image_type, readonly, direct, block_size, physical_block_size, "
        "num_queues, queue_size, packed, serial, id, pci_device_id.\n";

    for (const std::string key : {"readnly", "READNLY", "ReadOnly", "Read"})
        EXPECT_EQ(error_of("disks", &disk, "d.img," + key + "=on"),
                  "error: unknown key '" + key + "'\n  help: Did you mean 'readonly'? " + keys);
    EXPECT_EQ(error_of("disks", &disk, "d.img,READONLY"),
              "error: 'READONLY' is not a switch, and has no key\n"
              "  help: Did you mean 'readonly'? Write key=value. " +
                  keys);
    EXPECT_EQ(error_of("cpus", &cpus, "boto=2"),
              "error: unknown key 'boto'\n"
              "  help: Did you mean 'boot'? Known keys: boot_vcpus, max_vcpus, topology, "
              "affinity.\n");
}

TEST(KeyValuesTest, FormatOfAnImageIsRaw) {
    DiskConfig disk;

    EXPECT_EQ(error_of("disks", &disk, "d.img,image_type=Raw"), "no error");
    EXPECT_EQ(error_of("disks", &disk, "d.img,image_type=qcow2"),
              "error: image_type: 'qcow2' is not raw\n"
              "  help: Make a raw image of it: qemu-img convert -O raw IN OUT.\n");
}

TEST(KeyValuesTest, BareWordThatIsNoSwitchIsAnError) {
    MemoryConfig memory;

    EXPECT_EQ(
        error_of("memory", &memory, "1G,share"),
        "error: 'share' is not a switch, and has no key\n"
        "  help: Did you mean 'shared'? Write key=value. Known keys: size, shared, hugepages, "
        "hugepage_size, prefault, thp, file.\n");
}

TEST(KeyValuesTest, KeyGivenTwiceIsAnError) {
    MemoryConfig memory;

    EXPECT_EQ(error_of("memory", &memory, "1G,size=2G"),
              "error: size: given twice\n  help: Give it once.\n");
}

TEST(KeyValuesTest, ListForOneValueIsAnError) {
    MemoryConfig memory;

    EXPECT_EQ(error_of("memory", &memory, "size=[1G]"),
              "error: size: a list where one value is wanted\n"
              "  help: Remove the brackets, or put the value between quotes.\n");
}

TEST(KeyValuesTest, BrokenTextIsAnErrorThatSaysHowToMendIt) {
    MemoryConfig memory;
    NetConfig net;

    EXPECT_EQ(error_of("memory", &memory, ""),
              "error: the value is empty\n  help: Write value,key=value,...\n");
    EXPECT_EQ(error_of("memory", &memory, "1G,"),
              "error: trailing or double comma\n  help: Remove the comma, or put the value "
              "between quotes if the comma is part of it.\n");
    EXPECT_EQ(error_of("memory", &memory, "1G,,shared"),
              "error: trailing or double comma\n  help: Remove the comma, or put the value "
              "between quotes if the comma is part of it.\n");
    EXPECT_EQ(error_of("memory", &memory, "=1G"),
              "error: '=' without a key in front of it\n  help: Write key=value.\n");
    EXPECT_EQ(error_of("memory", &memory, "file=\"a"),
              "error: a quote is not closed\n  help: Add a \" at the end of the value.\n");
    EXPECT_EQ(error_of("memory", &memory, "file=\"a\"b"),
              "error: unexpected 'b' after the end of a value\n  help: Put a comma in between.\n");
    EXPECT_EQ(
        error_of("net", &net, "publish=[1:2"),
        "error: a list is not closed\n  help: Add a ] at its end, or put the value between quotes "
        "if it begins with a [.\n");
    EXPECT_EQ(error_of("net", &net, "publish=[\"1:2\"x]"),
              "error: unexpected 'x]' after the end of a value\n  help: Put a comma in between.\n");
}

}  // namespace
}  // namespace vmm::config
