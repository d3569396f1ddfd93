// SPDX-License-Identifier: Apache-2.0
#include "config/publish.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmm::config {
namespace {

using testing::HasSubstr;

PublishRule parsed(std::string_view text) {
    const auto rule = parse_publish(text);
    EXPECT_TRUE(rule) << rule.error().report();
    return rule.value_or(PublishRule{});
}

std::string error_of(std::string_view text) {
    const auto rule = parse_publish(text);
    return rule ? "no error" : rule.error().report();
}

TEST(PublishTest, WithoutAnAddressOnlyTheHostItselfReachesIt) {
    EXPECT_EQ(parsed("8080:80"), (PublishRule{.address = "127.0.0.1",
                                              .host_first = 8080,
                                              .host_last = 8080,
                                              .guest_first = 80,
                                              .tcp = true,
                                              .udp = true}));
}

TEST(PublishTest, AddressProtocolAndRangeAreRead) {
    EXPECT_EQ(parsed("127.0.0.1:8080:80/tcp"), (PublishRule{.address = "127.0.0.1",
                                                            .host_first = 8080,
                                                            .host_last = 8080,
                                                            .guest_first = 80,
                                                            .tcp = true,
                                                            .udp = false}));
    EXPECT_EQ(parsed("[::1]:8000-8010:9000-9010/udp"), (PublishRule{.address = "::1",
                                                                    .host_first = 8000,
                                                                    .host_last = 8010,
                                                                    .guest_first = 9000,
                                                                    .tcp = false,
                                                                    .udp = true}));
    EXPECT_EQ(parsed("0.0.0.0:1:65535").address, "0.0.0.0");
    EXPECT_EQ(parsed("[::]:1:1").address, "::");
}

TEST(PublishTest, WhatIsNotAPairOfPortsIsRefused) {
    for (const auto* const text :
         {"80", "", ":", "80:", ":80", "0:80", "80:65536", "80:-1", "a:80", "8010-8000:1-11",
          "1-:1-2", "0x50:80", "127.0.0.1::80", "80 :80"})
        EXPECT_THAT(error_of(text), HasSubstr("is not [ADDRESS:]HOST:GUEST[/tcp|/udp]")) << text;
}

TEST(PublishTest, WrongPartIsNamed) {
    EXPECT_EQ(error_of("1:2:3"),
              "error: '1:2:3': '1' is not an address of the host\n"
              "  help: Give an IPv4 address, an IPv6 address between brackets, or none for "
              "127.0.0.1; 0.0.0.0 is every IPv4 address.\n");
    EXPECT_THAT(error_of("localhost:80:80"), HasSubstr("'localhost' is not an address"));
    EXPECT_THAT(error_of("[127.0.0.1]:80:80"), HasSubstr("'127.0.0.1' is not an address"));
    EXPECT_EQ(error_of("::1:8080:80"),
              "error: '::1:8080:80': an IPv6 address stands between brackets\n"
              "  help: Write [::1]:8080:80.\n");
    EXPECT_EQ(error_of("80:80/sctp"),
              "error: '80:80/sctp': 'sctp' is neither tcp nor udp\n"
              "  help: Write /tcp or /udp after the ports, or nothing for both.\n");
    EXPECT_EQ(error_of("8000-8010:9000"),
              "error: '8000-8010:9000' has 11 ports of the host for 1 of the guest\n"
              "  help: Give two ranges of the same length, such as 8000-8010:9000-9010.\n");
}

TEST(PublishTest, RulesClashWhereBothWantOnePort) {
    const auto both = [](std::string_view a, std::string_view b, bool one_device) {
        return clash(parsed(a), parsed(b), one_device) && clash(parsed(b), parsed(a), one_device);
    };
    EXPECT_TRUE(both("80:80", "80:81", false));
    EXPECT_TRUE(both("80-90:80-90", "85:85", false));
    EXPECT_TRUE(both("80:80", "0.0.0.0:80:80", false));
    EXPECT_TRUE(both("[::]:80:80", "[::1]:80:80", false));
    EXPECT_TRUE(both("80:80", "[::1]:80:80", true));
    EXPECT_FALSE(both("80:80", "[::1]:80:80", false));
    EXPECT_FALSE(both("80:80", "127.0.0.2:80:80", false));
    EXPECT_FALSE(both("80:80/tcp", "80:80/udp", true));
    EXPECT_FALSE(both("80-84:80-84", "85:85", true));
}

}  // namespace
}  // namespace vmm::config
