// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/validate.hpp"

namespace vmm::config {
namespace {

using testing::HasSubstr;

std::string error_of(const DiskConfig& disk) {
    VmConfig config;
    config.disks = {disk};
    const auto result = validate_devices(config);
    return result ? "no error" : result.error().report();
}

std::string error_of(const NetConfig& net) {
    VmConfig config;
    config.net = {net};
    const auto result = validate_devices(config);
    return result ? "no error" : result.error().report();
}

TEST(ValidateDiskTest, PathMustBeGiven) {
    EXPECT_EQ(error_of(DiskConfig{.path = "a"}), "no error");
    EXPECT_EQ(error_of(DiskConfig{}),
              "error: disks[0] (--disk) has no path\n"
              "  help: Name its image: path=FILE.\n");
}

TEST(ValidateDiskTest, SerialNumberIsPrintable) {
    EXPECT_EQ(error_of(DiskConfig{.path = "a", .serial = "a b\xc3\xa4"}), "no error");
    EXPECT_EQ(error_of(DiskConfig{.path = "a", .serial = "a\nb"}),
              "error: disks[0].serial: 'a.b' has a control character\n"
              "  help: Use letters, digits and signs.\n");
    EXPECT_THAT(error_of(DiskConfig{.path = "a", .serial = "\x7f"}), HasSubstr(".serial"));
}

TEST(ValidateDiskTest, QueueSizeIsAPowerOfTwo) {
    EXPECT_EQ(error_of(DiskConfig{.path = "a", .queue_size = 100}),
              "error: disks[0].queue_size 100 is not a power of two\n  help: Give 64.\n");
}

TEST(ValidateDiskTest, RequestsOfAllQueuesAreBounded) {
    EXPECT_EQ(error_of(DiskConfig{.path = "a", .num_queues = 64, .queue_size = 1024}), "no error");
    EXPECT_EQ(
        error_of(DiskConfig{.path = "a", .num_queues = 256, .queue_size = 1024}),
        "error: disks[0].num_queues 256 with queue_size 1024 are 262144 requests at a time, more "
        "than 65536\n"
        "  help: Give num_queues=64 or a smaller queue_size; as many queues as vCPUs are "
        "enough.\n");
}

TEST(ValidateDiskTest, BlockSizesAreThoseThatGuestsTake) {
    EXPECT_EQ(error_of(DiskConfig{.path = "a", .block_size = 512, .physical_block_size = 512}),
              "no error");
    EXPECT_EQ(error_of(DiskConfig{.path = "a", .block_size = 4096, .physical_block_size = 65536}),
              "no error");
    EXPECT_EQ(error_of(DiskConfig{.path = "a", .physical_block_size = 4096}), "no error");
    EXPECT_EQ(error_of(DiskConfig{.path = "a", .block_size = 1024}),
              "error: disks[0].block_size 1024 is neither 512 nor 4096\n"
              "  help: Give 512, which every guest takes, or 4096.\n");
    EXPECT_EQ(error_of(DiskConfig{.path = "a", .physical_block_size = 1000}),
              "error: disks[0].physical_block_size 1000 is not a power of two\n"
              "  help: Give 512.\n");
    EXPECT_EQ(error_of(DiskConfig{.path = "a", .block_size = 4096, .physical_block_size = 2048}),
              "error: disks[0].physical_block_size 2048 is less than its block_size 4096\n"
              "  help: Give 4096 or more, or leave it out.\n");
}

TEST(ValidateNetTest, BackendDecidesWhatMayBeGiven) {
    EXPECT_EQ(error_of(NetConfig{}), "no error");
    EXPECT_EQ(error_of(NetConfig{.backend = NetBackendKind::User, .publish = {"8080:80"}}),
              "no error");
    EXPECT_EQ(error_of(NetConfig{.backend = NetBackendKind::User, .tap = "t"}),
              "error: net[0] (--net) has the backend user and a tap interface\n"
              "  help: Leave out tap and fds, or the backend.\n");
    EXPECT_EQ(error_of(NetConfig{.publish = {"8080:80"}}),
              "error: net[0].publish needs the backend user\n"
              "  help: Add backend=user (--net user,publish=HOST:GUEST), or leave publish out.\n");
}

TEST(ValidateNetTest, PublishNamesItsKey) {
    EXPECT_EQ(error_of(NetConfig{.backend = NetBackendKind::User, .publish = {"80"}}),
              "error: net[0].publish: '80' is not [ADDRESS:]HOST:GUEST[/tcp|/udp]\n"
              "  help: Give two port numbers, such as 8080:80, or 127.0.0.1:8080:80/tcp.\n");
}

TEST(ValidateNetTest, PasstHasASmallerMtu) {
    const auto user = [](std::uint16_t mtu) {
        return error_of(NetConfig{.backend = NetBackendKind::User, .mtu = mtu});
    };
    EXPECT_EQ(user(65520), "no error");
    EXPECT_EQ(user(65521),
              "error: net[0].mtu 65521 with the backend user\n"
              "  help: Give at most 65520, the most that passt can do.\n");
    EXPECT_EQ(error_of(NetConfig{.mtu = 65521}), "no error");
}

TEST(ValidateNetTest, MacIsThatOfOneInterface) {
    EXPECT_EQ(error_of(NetConfig{.mac = "52:54:00:12:34:fE"}), "no error");
    EXPECT_EQ(error_of(NetConfig{.mac = "53:54:00:12:34:56"}),
              "error: net[0].mac: '53:54:00:12:34:56' is not the address of one interface\n"
              "  help: Give six bytes whose first is even, such as 52:54:00:12:34:56.\n");
    EXPECT_THAT(error_of(NetConfig{.mac = "00:00:00:00:00:00"}), HasSubstr(".mac"));
    EXPECT_THAT(error_of(NetConfig{.mac = "52:54:00:12:34"}), HasSubstr(".mac"));
    EXPECT_THAT(error_of(NetConfig{.mac = "52-54-00-12-34-56"}), HasSubstr(".mac"));
    EXPECT_THAT(error_of(NetConfig{.mac = "52:54:00:12:34:5g"}), HasSubstr(".mac"));
}

TEST(ValidateNetTest, QueuesComeInPairs) {
    EXPECT_EQ(error_of(NetConfig{.num_queues = 3}),
              "error: net[0].num_queues 3 is odd\n"
              "  help: Receive and transmit queues count alone and come in pairs.\n");
}

TEST(ValidateNetTest, QueuesFitWhatIsBehindThem) {
    EXPECT_EQ(error_of(NetConfig{.fds = {3, 4}, .num_queues = 4}), "no error");
    EXPECT_EQ(error_of(NetConfig{.fds = {3, 4}}),
              "error: net[0].fds: 2 descriptors for 1 pairs of queues\n"
              "  help: Write num_queues=4, or name as many descriptors.\n");
    EXPECT_EQ(error_of(NetConfig{.backend = NetBackendKind::User, .num_queues = 4}),
              "error: net[0].num_queues 4 with the backend user\n"
              "  help: Leave it out: passt has one pair of queues.\n");
}

TEST(ValidateNetTest, InterfaceNameFitsTheKernel) {
    EXPECT_EQ(error_of(NetConfig{.tap = "fifteen-letters"}), "no error");
    EXPECT_EQ(error_of(NetConfig{.tap = "vm%d"}), "no error");
    EXPECT_EQ(error_of(NetConfig{.tap = "sixteen-letters-"}),
              "error: net[0].tap: 'sixteen-letters-' is too long for an interface\n"
              "  help: Interface names have at most 15 bytes.\n");
    for (const std::string name : {"a/b", "a b", "a:b", "a\tb", ".", ".."})
        EXPECT_THAT(error_of(NetConfig{.tap = name}),
                    HasSubstr("cannot be the name of an interface\n  help: Interface names have no "
                              "'/', ':' or blanks, and are not '.' or '..'.\n"))
            << name;
}

TEST(ValidateNetTest, TapIsNamedOrHandedOver) {
    EXPECT_EQ(error_of(NetConfig{.tap = "t0", .fds = {3}}),
              "error: net[0] (--net) has the name of a tap and descriptors\n"
              "  help: Leave out tap: the descriptors belong to an interface already. Or leave out "
              "fds.\n");
}

std::string error_of(const NetConfig& first, const NetConfig& second) {
    VmConfig config;
    config.net = {first, second};
    const auto result = validate_devices(config);
    return result ? "no error" : result.error().report();
}

TEST(ValidateNetsTest, TapIsForOneDevice) {
    EXPECT_EQ(error_of(NetConfig{.tap = "a"}, NetConfig{.tap = "b"}), "no error");
    EXPECT_EQ(error_of(NetConfig{}, NetConfig{}), "no error");
    EXPECT_EQ(
        error_of(NetConfig{.tap = "a"}, NetConfig{.tap = "a"}),
        "error: net[0] and net[1] (--net) both have the tap 'a'\n"
        "  help: Give each a tap of its own; several queues of one tap are num_queues=N of one "
        "device.\n");
}

TEST(ValidateNetsTest, DescriptorIsForOneQueuePair) {
    EXPECT_EQ(error_of(NetConfig{.fds = {3}}, NetConfig{.fds = {4}}), "no error");
    EXPECT_EQ(error_of(NetConfig{.fds = {3}}, NetConfig{.fds = {4, 3}, .num_queues = 4}),
              "error: net[0] and net[1] (--net) both have the descriptor 3\n"
              "  help: Give each pair of queues a descriptor of its own.\n");
    EXPECT_EQ(error_of(NetConfig{.fds = {3, 3}, .num_queues = 4}),
              "error: net[0] (--net) has the descriptor 3 twice\n"
              "  help: Give each pair of queues a descriptor of its own.\n");
}

TEST(ValidateNetsTest, MacIsForOneDevice) {
    EXPECT_EQ(
        error_of(NetConfig{.mac = "52:54:00:00:00:0a"}, NetConfig{.mac = "52:54:00:00:00:0A"}),
        "error: net[0] and net[1] (--net) both have the MAC address 52:54:00:00:00:0a\n"
        "  help: Give each an address of its own, or leave mac out.\n");
}

TEST(ValidateNetsTest, PortOfTheHostLeadsToOnePlace) {
    const auto user = [](std::vector<std::string> publish) {
        return NetConfig{.backend = NetBackendKind::User, .publish = std::move(publish)};
    };
    EXPECT_EQ(error_of(user({"80:80", "81:80"}), user({"82:80"})), "no error");
    EXPECT_EQ(error_of(user({"8080:80", "08080:81"})),
              "error: net[0].publish '8080:80' and net[0].publish '08080:81' want the same port of "
              "the host, 8080\n"
              "  help: Publish each port of the host once.\n");
    EXPECT_EQ(error_of(user({"8080:80"}), user({"8080:80"})),
              "error: net[0].publish '8080:80' and net[1].publish '8080:80' want the same port of "
              "the host, 8080\n"
              "  help: Publish each port of the host once.\n");
}

TEST(ValidateDevicesTest, SlotIsGivenOnce) {
    VmConfig config;
    config.disks = {DiskConfig{.path = "a", .pci_device_id = 5}, DiskConfig{.path = "b"},
                    DiskConfig{.path = "c", .pci_device_id = 31}};
    config.net = {NetConfig{.pci_device_id = 1}};
    config.rng = RngConfig{.pci_device_id = 2};
    config.console = {.mode = ConsoleMode::Null, .pci_device_id = 3};
    EXPECT_TRUE(validate_devices(config));

    config.net.push_back({.pci_device_id = 5});
    EXPECT_EQ(validate_devices(config).error().report(),
              "error: net[1].pci_device_id: disks[0] has PCI slot 5 already\n"
              "  help: Give it another one, from 1 to 31, or leave it out.\n");
    config.net.pop_back();
    config.rng->pci_device_id = 3;
    EXPECT_THAT(validate_devices(config).error().report(),
                HasSubstr("rng.pci_device_id: console has PCI slot 3 already"));
    config.console.mode = ConsoleMode::Off;  // then there is no such device
    EXPECT_TRUE(validate_devices(config));
}

TEST(ValidateDevicesTest, IdsAreUnique) {
    VmConfig config;
    config.disks = {DiskConfig{.path = "a", .id = "x"}, DiskConfig{.path = "b"},
                    DiskConfig{.path = "c"}};
    config.net = {NetConfig{.id = "x"}};

    EXPECT_EQ(validate_devices(config).error().report(),
              "error: two devices have the id 'x'\n  help: Give each an id of its own.\n");
}

TEST(ValidateDevicesTest, IdIsNoNameThatAnotherDeviceHasWithoutOne) {
    VmConfig config;
    const auto error = [&] {
        const auto result = validate_devices(config);
        return result ? "no error" : result.error().report();
    };
    config.disks = {DiskConfig{.path = "a", .id = "disk1"}, DiskConfig{.path = "b"}};
    EXPECT_EQ(error(),
              "error: disks[0].id: 'disk1' is the name of disks[1] already\n"
              "  help: Give it another id, or give disks[1] an id, too.\n");
    config.disks[1].id = "disk0";
    EXPECT_EQ(error(), "no error");

    config.net = {NetConfig{.tap = "a", .id = "net1"}, NetConfig{.tap = "b"}};
    EXPECT_EQ(error(),
              "error: net[0].id: 'net1' is the name of net[1] already\n"
              "  help: Give it another id, or give net[1] an id, too.\n");
    config.net = {NetConfig{.tap = "a"}, NetConfig{.tap = "b", .id = "net0"}};
    EXPECT_EQ(error(),
              "error: net[1].id: 'net0' is the name of net[0] already\n"
              "  help: Give it another id, or give net[0] an id, too.\n");
}

TEST(ValidateDevicesTest, IdIsNoNameOfADeviceThatHasNoId) {
    VmConfig config;
    const auto error_with = [&](const char* id) {
        config.disks = {DiskConfig{.path = "a", .id = id}};
        const auto result = validate_devices(config);
        return result ? "no error" : result.error().report();
    };
    for (const char* const id : {"rng", "console", "ports", "pvpanic"})
        EXPECT_EQ(error_with(id), "no error") << id;

    config.rng.emplace();
    config.pvpanic = true;
    config.console.mode = ConsoleMode::Null;
    config.console_ports = {{.mode = ConsoleMode::Null, .name = "p"}};

    EXPECT_EQ(error_with("pvpanic"),
              "error: disks[0].id: 'pvpanic' is the name of the panic device already\n"
              "  help: Give it another id.\n");
    EXPECT_EQ(error_with("rng"),
              "error: disks[0].id: 'rng' is the name of the entropy device already\n"
              "  help: Give it another id.\n");
    EXPECT_EQ(error_with("console"),
              "error: disks[0].id: 'console' is the name of the console already\n"
              "  help: Give it another id.\n");
    EXPECT_EQ(error_with("ports"),
              "error: disks[0].id: 'ports' is the name of the device with console_ports already\n"
              "  help: Give it another id.\n");
}

}  // namespace
}  // namespace vmm::config
