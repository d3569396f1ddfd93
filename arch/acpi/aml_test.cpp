// SPDX-License-Identifier: Apache-2.0
#include "acpi/aml.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace vmm::aml {
namespace {

using testing::ElementsAre;

/// What `build` writes, as numbers that print well.
template <class Build>
std::vector<unsigned> written(Build&& build) {
    Bytes bytes;
    Writer to{bytes};
    build(to);
    std::vector<unsigned> numbers;
    for (const std::byte b : bytes)
        numbers.push_back(std::to_integer<unsigned>(b));
    return numbers;
}

template <class Build>
std::vector<unsigned> resources(Build&& build) {
    return written([&](Writer& to) {
        Resources use{to};
        build(use);
    });
}

TEST(AmlNameTest, ShortSegmentIsFilledWithUnderscores) {
    EXPECT_THAT(written([](Writer& to) { to.add(NameSeg{"S5"}); }),
                ElementsAre('S', '5', '_', '_'));
}

TEST(AmlNameTest, NumberedSegmentHasThreeHexadecimalDigits) {
    EXPECT_THAT(written([](Writer& to) { to.add(NameSeg::numbered('C', 0x12b)); }),
                ElementsAre('C', '1', '2', 'B'));
}

TEST(AmlNameTest, PathOfOneSegmentHasNoPrefix) {
    EXPECT_THAT(written([](Writer& to) { to.add(NamePath{"PWRB"}); }),
                ElementsAre('P', 'W', 'R', 'B'));
}

TEST(AmlNameTest, RootAndTwoSegmentsAreADualName) {
    EXPECT_THAT(written([](Writer& to) { to.add(NamePath{"\\_SB.PCI0"}); }),
                ElementsAre('\\', 0x2e, '_', 'S', 'B', '_', 'P', 'C', 'I', '0'));
}

TEST(AmlNameTest, ThreeSegmentsAreAMultiName) {
    EXPECT_THAT(
        written([](Writer& to) { to.add(NamePath{"^A.B.C"}); }),
        ElementsAre('^', 0x2f, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '_', '_', '_'));
}

TEST(AmlNameTest, BareRootEndsWithANullName) {
    EXPECT_THAT(written([](Writer& to) { to.add(NamePath{"\\"}); }), ElementsAre('\\', 0));
}

TEST(AmlIntegerTest, ZeroAndOneAreOpcodes) {
    EXPECT_THAT(written([](Writer& to) { to.add(0U, 1U); }), ElementsAre(0x00, 0x01));
}

TEST(AmlIntegerTest, EachSizeHasItsPrefix) {
    EXPECT_THAT(written([](Writer& to) { to.add(2U, 0xffU); }), ElementsAre(0x0a, 2, 0x0a, 0xff));
    EXPECT_THAT(written([](Writer& to) { to.add(0x100U); }), ElementsAre(0x0b, 0x00, 0x01));
    EXPECT_THAT(written([](Writer& to) { to.add(0x1'0000U); }),
                ElementsAre(0x0c, 0x00, 0x00, 0x01, 0x00));
    EXPECT_THAT(written([](Writer& to) { to.add(0x1'0000'0000U); }),
                ElementsAre(0x0e, 0, 0, 0, 0, 1, 0, 0, 0));
}

TEST(AmlStringTest, EndsWithAZero) {
    EXPECT_THAT(written([](Writer& to) { to.add(String{"AB"}); }), ElementsAre(0x0d, 'A', 'B', 0));
}

TEST(AmlIdTest, EisaIdIsPackedBigEndian) {
    EXPECT_THAT(written([](Writer& to) { to.add(EisaId{"PNP0501"}); }),
                ElementsAre(0x0c, 0x41, 0xd0, 0x05, 0x01));
    EXPECT_THAT(written([](Writer& to) { to.add(EisaId{"PNP0C0F"}); }),
                ElementsAre(0x0c, 0x41, 0xd0, 0x0c, 0x0f));
}

TEST(AmlIdTest, UuidSwapsItsFirstThreeGroups) {
    EXPECT_THAT(written([](Writer& to) { to.add(Uuid{"33db4d5b-1ff7-401c-9657-7441c03dd766"}); }),
                ElementsAre(0x11, 0x13, 0x0a, 0x10, 0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
                            0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66));
}

/// The bytes in front of a scope's body: opcode and length. The name is 4 bytes of the body.
std::vector<unsigned> scope_prefix(std::size_t body, std::size_t prefix) {
    std::vector<unsigned> all =
        written([&](Writer& to) { to.scope("ABCD", [&] { to.raw(std::string(body - 4, 'x')); }); });
    EXPECT_EQ(all.size(), prefix + body);
    all.resize(prefix);
    return all;
}

TEST(AmlPkgLengthTest, CountsItselfInOneByteUpTo63) {
    EXPECT_THAT(scope_prefix(4, 2), ElementsAre(0x10, 0x05));
    EXPECT_THAT(scope_prefix(62, 2), ElementsAre(0x10, 0x3f));
}

TEST(AmlPkgLengthTest, TwoBytesUpTo4095) {
    EXPECT_THAT(scope_prefix(63, 3), ElementsAre(0x10, 0x41, 0x04));    // 65
    EXPECT_THAT(scope_prefix(4093, 3), ElementsAre(0x10, 0x4f, 0xff));  // 4095
}

TEST(AmlPkgLengthTest, ThreeBytesUpTo1048575) {
    EXPECT_THAT(scope_prefix(4094, 4), ElementsAre(0x10, 0x81, 0x00, 0x01));       // 4097
    EXPECT_THAT(scope_prefix(1'048'572, 4), ElementsAre(0x10, 0x8f, 0xff, 0xff));  // 1048575
}

TEST(AmlPkgLengthTest, FourBytesBeyond) {
    EXPECT_THAT(scope_prefix(1'048'573, 5), ElementsAre(0x10, 0xc1, 0x00, 0x00, 0x01));
}

TEST(AmlObjectTest, NameHoldsAPackage) {
    const auto bytes = written([](Writer& to) {
        const auto elements = [&] { to.add(5U, 0U); };
        to.name("_S5", [&] { to.package(2, elements); });
    });

    EXPECT_THAT(bytes, ElementsAre(0x08, '_', 'S', '5', '_', 0x12, 0x05, 0x02, 0x0a, 0x05, 0x00));
}

TEST(AmlObjectTest, DeviceHoldsItsNames) {
    const auto bytes = written([](Writer& to) { to.device("PWRB", [&] { to.name("_UID", 0U); }); });

    EXPECT_THAT(bytes,
                ElementsAre(0x5b, 0x82, 0x0b, 'P', 'W', 'R', 'B', 0x08, '_', 'U', 'I', 'D', 0x00));
}

TEST(AmlObjectTest, MethodHasArgumentCountAndSerializeFlag) {
    const auto bytes = written([](Writer& to) {
        to.method("_EVT", 1, Serialized::Yes, [&] { to.add(give_back(Arg{0})); });
    });

    EXPECT_THAT(bytes, ElementsAre(0x14, 0x08, '_', 'E', 'V', 'T', 0x09, 0xa4, 0x68));
}

TEST(AmlObjectTest, OperationRegionAndField) {
    const auto bytes = written([](Writer& to) {
        to.operation_region("EREG", SpaceId::SystemIo, 0x60c, 1);
        to.byte_field("EREG", {{"EVTS", 8}});
    });

    EXPECT_THAT(bytes,
                ElementsAre(0x5b, 0x80, 'E', 'R', 'E', 'G', 0x01, 0x0b, 0x0c, 0x06, 0x01,  //
                            0x5b, 0x81, 0x0b, 'E', 'R', 'E', 'G', 0x41, 'E', 'V', 'T', 'S', 0x08));
}

TEST(AmlObjectTest, FieldOfDwordsSaysSo) {
    const auto bytes = written([](Writer& to) {
        to.dword_field("HPRG", {{"ADDD", 32}, {"ASKD", 32}});
    });

    EXPECT_THAT(bytes, ElementsAre(0x5b, 0x81, 0x10, 'H', 'P', 'R', 'G', 0x43, 'A', 'D', 'D', 'D',
                                   0x20, 'A', 'S', 'K', 'D', 0x20));
}

TEST(AmlTermTest, StatementsWriteOperatorFirst) {
    EXPECT_THAT(written([](Writer& to) { to.add(store(Arg{1}, Local{2})); }),
                ElementsAre(0x70, 0x69, 0x62));
    EXPECT_THAT(written([](Writer& to) { to.add(notify(NamePath{"PWRB"}, 0x80U)); }),
                ElementsAre(0x86, 'P', 'W', 'R', 'B', 0x0a, 0x80));
    EXPECT_THAT(written([](Writer& to) { to.add(not_equal(Arg{1}, 1U)); }),
                ElementsAre(0x92, 0x93, 0x69, 0x01));
    EXPECT_THAT(
        written([](Writer& to) { to.add(create_dword_field(Arg{3}, 8U, NamePath{"CTRL"})); }),
        ElementsAre(0x8a, 0x6b, 0x0a, 0x08, 'C', 'T', 'R', 'L'));
    EXPECT_THAT(written([](Writer& to) { to.add(bit_or(Local{0}, 4U, Local{0})); }),
                ElementsAre(0x7d, 0x60, 0x0a, 0x04, 0x60));
}

TEST(AmlTermTest, IfAndElseNestExpressions) {
    const auto bytes = written([](Writer& to) {
        to.if_(bit_and(Local{0}, 1U, Nowhere{}), [&] { to.add(give_back(0U)); });
        to.else_([&] { to.add(give_back(equal(Local{1}, 2U))); });
    });

    EXPECT_THAT(bytes, ElementsAre(0xa0, 0x07, 0x7b, 0x60, 0x01, 0x00, 0xa4, 0x00,  //
                                   0xa1, 0x06, 0xa4, 0x93, 0x61, 0x0a, 0x02));
}

TEST(AmlTermTest, LoopHasItsConditionFirst) {
    const auto bytes = written([](Writer& to) {
        to.while_(bit_and(Local{0}, 1U, Nowhere{}), [&] { to.add(sleep_milliseconds(20U)); });
    });

    EXPECT_THAT(bytes, ElementsAre(0xa2, 0x09, 0x7b, 0x60, 0x01, 0x00, 0x5b, 0x22, 0x0a, 0x14));
}

TEST(AmlTermTest, CallIsANameWithItsArguments) {
    EXPECT_THAT(written([](Writer& to) { to.add(call("HPEJ", Local{1}, 2U)); }),
                ElementsAre('H', 'P', 'E', 'J', 0x61, 0x0a, 0x02));
    EXPECT_THAT(written([](Writer& to) { to.add(call("HPEV")); }), ElementsAre('H', 'P', 'E', 'V'));
}

TEST(AmlResourceTest, TemplateIsABufferWithAnEndTag) {
    const auto bytes =
        written([](Writer& to) { to.resource_template([](Resources& use) { use.io(0x3f8, 8); }); });

    EXPECT_THAT(bytes, ElementsAre(0x11, 0x0d, 0x0a, 0x0a, 0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01,
                                   0x08, 0x79, 0x00));
}

TEST(AmlResourceTest, TemplateOver255BytesHasAWordAsSize) {
    const auto bytes = written([](Writer& to) {
        to.resource_template([](Resources& use) {
            for (unsigned i = 0; i < 32; ++i)
                use.io(0, 1);
        });
    });

    ASSERT_EQ(bytes.size(), 1U + 2U + 3U + 32U * 8U + 2U);
    EXPECT_EQ(bytes[1], 0x47U);  // 263 = 0x107
    EXPECT_EQ(bytes[2], 0x10U);
    EXPECT_EQ(bytes[3], 0x0bU);
    EXPECT_EQ(bytes[4], 0x02U);  // 258 = 0x102
    EXPECT_EQ(bytes[5], 0x01U);
}

TEST(AmlResourceTest, InterruptIsActiveHighAndExclusive) {
    EXPECT_THAT(resources([](Resources& use) { use.interrupt(hv::Gsi{4}, Trigger::Edge); }),
                ElementsAre(0x89, 6, 0, 0x03, 1, 4, 0, 0, 0));
    EXPECT_THAT(resources([](Resources& use) { use.interrupt(hv::Gsi{9}, Trigger::Level); }),
                ElementsAre(0x89, 6, 0, 0x01, 1, 9, 0, 0, 0));
}

TEST(AmlResourceTest, FixedMemory) {
    EXPECT_THAT(resources([](Resources& use) { use.memory32_fixed(0xe000'0000, 0x1000'0000); }),
                ElementsAre(0x86, 9, 0, 1, 0, 0, 0, 0xe0, 0, 0, 0, 0x10));
}

TEST(AmlResourceTest, BusNumbers) {
    EXPECT_THAT(resources([](Resources& use) { use.bus_numbers(0, 255); }),
                ElementsAre(0x88, 13, 0, 2, 0x0c, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0, 1));
}

TEST(AmlResourceTest, PortWindow) {
    EXPECT_THAT(resources([](Resources& use) { use.word_io_window(0x1000, 0xffff); }),
                ElementsAre(0x88, 13, 0, 1, 0x0c, 3, 0, 0, 0, 0x10, 0xff, 0xff, 0, 0, 0, 0xf0));
}

TEST(AmlResourceTest, MemoryWindowBelow4GiBIsADWord) {
    EXPECT_THAT(resources([](Resources& use) {
                    use.memory_window(0xc000'0000, 0xdfff'ffff, Caching::None);
                }),
                ElementsAre(0x87, 23, 0, 0, 0x0c, 1, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff, 0xff,
                            0xdf, 0, 0, 0, 0, 0, 0, 0, 0x20));
}

TEST(AmlResourceTest, MemoryWindowAbove4GiBIsAQWord) {
    EXPECT_THAT(resources([](Resources& use) {
                    use.memory_window(0x1'0000'0000, 0x1'ffff'ffff, Caching::Prefetchable);
                }),
                ElementsAre(0x8a, 43, 0, 0, 0x0c, 7,             //
                            0, 0, 0, 0, 0, 0, 0, 0,              // granularity
                            0, 0, 0, 0, 1, 0, 0, 0,              // first
                            0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0,  //
                            0, 0, 0, 0, 0, 0, 0, 0,              // translation
                            0, 0, 0, 0, 1, 0, 0, 0));            // length
}

}  // namespace
}  // namespace vmm::aml
