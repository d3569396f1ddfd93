// SPDX-License-Identifier: Apache-2.0
// ROM and device memory as a guest finds them: what exits, and what the host's bytes become.
#include <array>
#include <cstring>

#include "fixture.hpp"

namespace vmm::payload {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Kind = Access::Kind;

struct KvmMemoryTest : KvmFixture {
    MemoryRegion region(MemoryKind kind) {
        return {.range = {kUnbacked, bytes.size()}, .host = bytes.data(), .kind = kind};
    }
    std::uint32_t word(std::size_t at) const {
        std::uint32_t value = 0;
        std::memcpy(&value, bytes.data() + at, sizeof value);
        return value;
    }
    void set_word(std::size_t at, std::uint32_t value) {
        std::memcpy(bytes.data() + at, &value, sizeof value);
    }

    alignas(4096) std::array<std::byte, 2 * 4096> bytes{};
};

TEST_F(KvmMemoryTest, RomIsReadWithoutAnExitAndAWriteExitsAndChangesNothing) {
    auto& machine = make();
    set_word(0x1004, 0x1234'5678);
    ASSERT_TRUE(machine.vm().memory_added(region(MemoryKind::Rom)));
    const Gpa at{kUnbacked.value() + 0x1004};
    Program program;
    program.read(at).write(at, 0xffff'ffff).read(at).end();
    ASSERT_TRUE(machine.start(program));

    const auto trace = machine.run();

    EXPECT_EQ(trace.ended, "end");
    EXPECT_THAT(trace.accesses,
                ElementsAre(Access{Kind::Write, at.value(), std::vector(4, std::byte{0xff})}));
    EXPECT_EQ(machine.result(0), 0x1234'5678u);
    EXPECT_EQ(machine.result(2), 0x1234'5678u);
    EXPECT_EQ(word(0x1004), 0x1234'5678u);
}

TEST_F(KvmMemoryTest, RomIsExecuted) {
    auto& machine = make();
    constexpr std::array<unsigned char, 4> kTwice{0x48, 0x8d, 0x04, 0x3f};  // lea (%rdi,%rdi),%rax
    std::memcpy(bytes.data(), kTwice.data(), kTwice.size());
    bytes[kTwice.size()] = std::byte{0xc3};  // ret
    ASSERT_TRUE(machine.vm().memory_added(region(MemoryKind::Rom)));
    Program program;
    program.call(kUnbacked, 21).end();
    ASSERT_TRUE(machine.start(program));

    const auto trace = machine.run();

    EXPECT_EQ(trace.ended, "end");
    EXPECT_THAT(trace.accesses, IsEmpty());
    EXPECT_EQ(machine.result(0), 42u);
}

TEST_F(KvmMemoryTest, DeviceMemoryIsReadAndWrittenWithoutAnExit) {
    auto& machine = make();
    set_word(0x8, 0x0bad'cafe);
    ASSERT_TRUE(machine.vm().memory_added(region(MemoryKind::Device)));
    Program program;
    program.read(Gpa{kUnbacked.value() + 8}).write(Gpa{kUnbacked.value() + 0x1ffc}, 0x77).end();
    ASSERT_TRUE(machine.start(program));

    const auto trace = machine.run();

    EXPECT_EQ(trace.ended, "end");
    EXPECT_THAT(trace.accesses, IsEmpty());
    EXPECT_EQ(machine.result(0), 0x0bad'cafeu);
    EXPECT_EQ(word(0x1ffc), 0x77u);
}

TEST_F(KvmMemoryTest, MemoryThatIsRemovedExitsAgain) {
    for (const auto kind : {MemoryKind::Rom, MemoryKind::Device}) {
        auto& machine = make();
        ASSERT_TRUE(machine.vm().memory_added(region(kind)));
        machine.vm().memory_removed(region(kind));
        Program program;
        program.read(kUnbacked).end();
        ASSERT_TRUE(machine.start(program));

        const auto trace = machine.run();

        EXPECT_EQ(trace.ended, "end");
        EXPECT_THAT(trace.values(Kind::Read), ElementsAre(0xffff'ffffu));
    }
}

TEST_F(KvmMemoryTest, NothingBecomesPrivateInAGuestThatIsNotConfidential) {
    auto& machine = make();
    const MemoryRegion ram{.range = {Gpa{0}, machine.ram().size()}, .host = machine.ram().data()};

    EXPECT_FALSE(machine.vm().privacy_changed(ram, {Gpa{0}, 4096}, Privacy::Private));
}

}  // namespace
}  // namespace vmm::payload
