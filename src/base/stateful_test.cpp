// SPDX-License-Identifier: Apache-2.0
#include "vmm/stateful.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace vmm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<unsigned> numbers(std::span<const std::byte> bytes) {
    std::vector<unsigned> all;
    for (const std::byte byte : bytes)
        all.push_back(std::to_integer<unsigned>(byte));
    return all;
}

/// Version 2 of a part with a word and a flag.
std::vector<std::byte> example() {
    StateWriter writer;
    {
        const StateWriter::Section section{writer, 2};
        writer.put(std::uint16_t{0x1234});
        writer.put(true);
    }
    return writer.take();
}

std::string error_of(const Result<>& result) {
    return result ? "" : result.error().one_line();
}

TEST(StateWriterTest, NumbersAreLittleEndianAndSectionsKnowTheirLength) {
    EXPECT_THAT(numbers(example()), ElementsAre(2, 0, 3, 0, 0, 0, 0x34, 0x12, 1));
}

TEST(StateWriterTest, SectionsNest) {
    StateWriter writer;
    {
        const StateWriter::Section outer{writer, 1};
        writer.put(std::uint8_t{7});
        const StateWriter::Section inner{writer, 3};
        writer.put(std::uint8_t{8});
    }

    EXPECT_THAT(numbers(writer.bytes()), ElementsAre(1, 0, 8, 0, 0, 0, 7, 3, 0, 1, 0, 0, 0, 8));
}

TEST(StateReaderTest, GivesBackWhatWasWritten) {
    const auto bytes = example();
    StateReader reader{bytes, "machine"};

    auto section = reader.section("part", 2);
    ASSERT_TRUE(section);
    EXPECT_EQ(section->version(), 2u);
    EXPECT_EQ(section->get<std::uint16_t>("word"), 0x1234u);
    EXPECT_TRUE(section->get_flag("flag"));

    EXPECT_EQ(error_of(section->done()), "");
    EXPECT_EQ(error_of(reader.done()), "");
}

TEST(StateReaderTest, NewerVersionIsRefused) {
    const auto bytes = example();
    StateReader reader{bytes, "machine"};

    const auto section = reader.section("part", 1);

    ASSERT_FALSE(section);
    EXPECT_EQ(section.error().one_line(),
              "the state of the part has version 2; this vmm reads versions 1 to 1");
    EXPECT_THAT(section.error().advice(), HasSubstr("newer one"));
}

TEST(StateReaderTest, VersionZeroIsRefused) {
    const std::array<std::byte, 6> bytes{};
    StateReader reader{bytes, "machine"};

    EXPECT_FALSE(reader.section("part", 9));
}

TEST(StateReaderTest, SectionThatIsCutShortIsRefusedAtEveryLength) {
    const auto bytes = example();
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        StateReader reader{std::span{bytes}.first(length), "machine"};
        const auto section = reader.section("part", 2);
        ASSERT_FALSE(section) << length;
        EXPECT_EQ(section.error().one_line(), "the state of the part is cut short");
    }
}

TEST(StateReaderTest, LengthBeyondTheEndIsRefused) {
    auto bytes = example();
    bytes[5] = std::byte{0xff};
    StateReader reader{bytes, "machine"};

    EXPECT_FALSE(reader.section("part", 2));
}

TEST(StateReaderTest, FieldsBeyondTheEndAreZeroAndAnError) {
    const std::array bytes{std::byte{1}, std::byte{2}};
    StateReader reader{bytes, "part"};

    EXPECT_EQ(reader.get<std::uint32_t>("long"), 0u);
    EXPECT_EQ(reader.get<std::uint8_t>("next"), 0u);

    EXPECT_EQ(error_of(reader.done()), "the state of the part is wrong: it is cut short");
}

TEST(StateReaderTest, BytesBeyondTheEndAreZeroAndAnError) {
    const std::array bytes{std::byte{1}, std::byte{2}};
    StateReader reader{bytes, "part"};
    std::array<std::byte, 3> to{std::byte{9}, std::byte{9}, std::byte{9}};

    reader.get_bytes(to);

    EXPECT_THAT(numbers(to), ElementsAre(0, 0, 0));
    EXPECT_TRUE(reader.failed());
}

TEST(StateReaderTest, ValueOutOfRangeIsNamedAndTheFirstOneCounts) {
    const std::array bytes{std::byte{9}, std::byte{2}, std::byte{1}};
    StateReader reader{bytes, "part"};

    EXPECT_EQ(reader.get<std::uint8_t>("index", 8), 0u);
    EXPECT_FALSE(reader.get_flag("flag"));
    reader.require(false, "flag", "makes no sense");

    EXPECT_EQ(error_of(reader.done()),
              "the state of the part is wrong: field 'index' is out of range");
}

TEST(StateReaderTest, SectionAfterAWrongFieldIsThatFieldsError) {
    const auto bytes = example();
    StateReader reader{bytes, "machine"};
    reader.require(false, "size", "is that of another one");

    const auto section = reader.section("part", 2);

    ASSERT_FALSE(section);
    EXPECT_EQ(section.error().one_line(),
              "the state of the machine is wrong: field 'size' is that of another one");
}

TEST(StateReaderTest, BytesThatAreLeftOverAreAnError) {
    const std::array bytes{std::byte{9}, std::byte{2}};
    StateReader reader{bytes, "part"};
    EXPECT_EQ(reader.get<std::uint8_t>("index"), 9u);

    EXPECT_EQ(error_of(reader.done()), "the state of the part has 1 unexpected bytes at its end");
}

}  // namespace
}  // namespace vmm
