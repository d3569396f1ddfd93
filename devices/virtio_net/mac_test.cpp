// SPDX-License-Identifier: Apache-2.0
#include "virtio_net/mac.hpp"

namespace vmm::virtio_net {
namespace {

TEST(MacTest, TextIsReadAndWritten) {
    const MacAddress expected{0x52, 0x54, 0x00, 0x12, 0x34, 0xaf};
    EXPECT_EQ(parse_mac("52:54:00:12:34:af"), expected);
    EXPECT_EQ(parse_mac("52:54:00:12:34:AF"), expected);
    EXPECT_EQ(mac_text(expected), "52:54:00:12:34:af");
}

TEST(MacTest, OtherFormsAreRefused) {
    for (const char* text :
         {"", "52:54:00:12:34", "52:54:00:12:34:a", "52-54-00-12-34-af", "52:54:00:12:34:ag",
          "52:54:00:12:34:af:", "5:254:00:12:34:af", "+2:54:00:12:34:af", "52:54:00:12:34: f"})
        EXPECT_FALSE(parse_mac(text).has_value()) << text;
}

TEST(MacTest, SameNamesGiveTheSameAddress) {
    EXPECT_EQ(mac_text(generated_mac("web", "net0")), mac_text(generated_mac("web", "net0")));
    EXPECT_EQ(mac_text(generated_mac("web", "net0")), "b6:2e:9f:76:ef:ff");  // for ever
}

TEST(MacTest, OtherNamesGiveOtherAddresses) {
    const auto first = generated_mac("web", "net0");
    EXPECT_NE(first, generated_mac("web", "net1"));
    EXPECT_NE(first, generated_mac("web2", "net0"));
    EXPECT_NE(generated_mac("a", "bc"), generated_mac("ab", "c"));
}

TEST(MacTest, GeneratedAddressesAreUnicastAndLocallyAdministered) {
    for (int i = 0; i < 256; ++i) {
        const auto mac = generated_mac("vm" + std::to_string(i), "net0");
        EXPECT_EQ(mac[0] & 3, 2);
    }
}

}  // namespace
}  // namespace vmm::virtio_net
