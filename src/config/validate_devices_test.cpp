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
              "  help: Write --disk FILE or --disk path=FILE.\n");
}

TEST(ValidateDiskTest, QueueSizeIsAPowerOfTwo) {
    EXPECT_EQ(error_of(DiskConfig{.path = "a", .queue_size = 100}),
              "error: disks[0].queue_size 100 is not a power of two\n  help: Give 64.\n");
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
              "  help: Write --net user,publish=...\n");
}

TEST(ValidateNetTest, PublishIsTwoPorts) {
    const auto error_of_ports = [](const char* ports) {
        return error_of(NetConfig{.backend = NetBackendKind::User, .publish = {ports}});
    };

    EXPECT_EQ(error_of_ports("80"),
              "error: net[0].publish: '80' is not HOST:GUEST\n"
              "  help: Give two port numbers, such as 8080:80.\n");
    EXPECT_THAT(error_of_ports("0:80"), HasSubstr("is not HOST:GUEST"));
    EXPECT_THAT(error_of_ports("80:65536"), HasSubstr("is not HOST:GUEST"));
    EXPECT_THAT(error_of_ports("80:"), HasSubstr("is not HOST:GUEST"));
    EXPECT_THAT(error_of_ports(":"), HasSubstr("is not HOST:GUEST"));
    EXPECT_THAT(error_of_ports("1:2:3"), HasSubstr("is not HOST:GUEST"));
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
    EXPECT_THAT(error_of(NetConfig{.tap = "sixteen-letters-"}), HasSubstr("too long"));
}

TEST(ValidateDevicesTest, IdsAreUnique) {
    VmConfig config;
    config.disks = {DiskConfig{.path = "a", .id = "x"}, DiskConfig{.path = "b"},
                    DiskConfig{.path = "c"}};
    config.net = {NetConfig{.id = "x"}};

    EXPECT_EQ(validate_devices(config).error().report(),
              "error: two devices have the id 'x'\n  help: Give each an id of its own.\n");
}

}  // namespace
}  // namespace vmm::config
