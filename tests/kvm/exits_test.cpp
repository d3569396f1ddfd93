// SPDX-License-Identifier: Apache-2.0
// What comes out of KVM_RUN, and what goes back in.
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "fixture.hpp"
#include "kvm/host.hpp"
#include "vmm/event_fd.hpp"

namespace vmm::payload {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;
using Kind = Access::Kind;

using KvmExitTest = KvmFixture;

std::vector<std::byte> bytes(std::initializer_list<int> values) {
    std::vector<std::byte> all;
    for (const int value : values)
        all.push_back(static_cast<std::byte>(value));
    return all;
}

TEST_F(KvmExitTest, PortWritesComeOutInTheirWidth) {
    auto& machine = make();
    Program program;
    program.out(0x300, 0x11, AccessSize::Byte)
        .out(0x302, 0x2233, AccessSize::Word)
        .out(0x304, 0x44556677, AccessSize::Dword)
        .end();
    ASSERT_TRUE(machine.start(program));

    const auto trace = machine.run();

    EXPECT_EQ(trace.ended, "end");
    EXPECT_THAT(trace.accesses,
                ElementsAre(Access{Kind::Out, 0x300, bytes({0x11})},
                            Access{Kind::Out, 0x302, bytes({0x33, 0x22})},
                            Access{Kind::Out, 0x304, bytes({0x77, 0x66, 0x55, 0x44})}));
}

TEST_F(KvmExitTest, PortReadsGetTheirAnswers) {
    auto& machine = make();
    Program program;
    program.in(0x300, AccessSize::Byte)
        .in(0x302, AccessSize::Word)
        .in(0x304, AccessSize::Dword)
        .end();
    ASSERT_TRUE(machine.start(program));

    const auto trace = machine.run(0, [](Access& access) {
        for (std::size_t i = 0; i < access.data.size(); ++i)
            access.data[i] = static_cast<std::byte>(0xa0 + i);
    });

    EXPECT_EQ(trace.ended, "end");
    EXPECT_EQ(machine.result(0), 0xa0U);
    EXPECT_EQ(machine.result(1), 0xa1a0U);
    EXPECT_EQ(machine.result(2), 0xa3a2'a1a0U);
}

TEST_F(KvmExitTest, MmioWritesComeOutInTheirWidth) {
    auto& machine = make();
    Program program;
    program.write(kUnbacked, 0x11, AccessSize::Byte)
        .write(kUnbacked, 0x2211, AccessSize::Word)
        .write(kUnbacked, 0x4433'2211, AccessSize::Dword)
        .write(kUnbacked, 0x8877'6655'4433'2211, AccessSize::Qword)
        .end();
    ASSERT_TRUE(machine.start(program));

    const auto trace = machine.run();

    EXPECT_EQ(trace.ended, "end");
    EXPECT_THAT(trace.accesses,
                ElementsAre(Access{Kind::Write, 0xd000'0000, bytes({0x11})},
                            Access{Kind::Write, 0xd000'0000, bytes({0x11, 0x22})},
                            Access{Kind::Write, 0xd000'0000, bytes({0x11, 0x22, 0x33, 0x44})},
                            Access{Kind::Write, 0xd000'0000,
                                   bytes({0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88})}));
}

TEST_F(KvmExitTest, MmioReadsGetTheirAnswers) {
    auto& machine = make();
    Program program;
    program.read(kUnbacked, AccessSize::Byte)
        .read(kUnbacked, AccessSize::Word)
        .read(kUnbacked, AccessSize::Dword)
        .read(kUnbacked, AccessSize::Qword)
        .end();
    ASSERT_TRUE(machine.start(program));

    const auto trace = machine.run(0, [](Access& access) {
        for (std::size_t i = 0; i < access.data.size(); ++i)
            access.data[i] = static_cast<std::byte>(0xb0 + i);
    });

    EXPECT_EQ(trace.ended, "end");
    EXPECT_EQ(machine.result(0), 0xb0U);
    EXPECT_EQ(machine.result(1), 0xb1b0U);
    EXPECT_EQ(machine.result(2), 0xb3b2'b1b0U);
    EXPECT_EQ(machine.result(3), 0xb7b6'b5b4'b3b2'b1b0U);
}

TEST_F(KvmExitTest, StringWriteBringsAllElementsInOrder) {
    auto& machine = make();
    machine.store(kFree, std::uint64_t{0x0807'0605'0403'0201});
    Program program;
    program.out_string(0x1f0, kFree, 4, AccessSize::Word).end();
    ASSERT_TRUE(machine.start(program));

    const auto trace = machine.run();

    std::vector<std::byte> all;
    for (const auto& access : trace.accesses)
        all.insert(all.end(), access.data.begin(), access.data.end());
    EXPECT_EQ(trace.ended, "end");
    EXPECT_EQ(all, bytes({1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST_F(KvmExitTest, StringReadFillsMemory) {
    auto& machine = make();
    Program program;
    program.in_string(0x1f0, kFree, 4, AccessSize::Word).end();
    ASSERT_TRUE(machine.start(program));

    int next = 1;
    const auto trace = machine.run(0, [&](Access& access) {
        for (auto& byte : access.data)
            byte = static_cast<std::byte>(next++);
    });

    EXPECT_EQ(trace.ended, "end");
    EXPECT_EQ(machine.load<std::uint64_t>(kFree), 0x0807'0605'0403'0201U);
    EXPECT_EQ(machine.load<std::uint64_t>(Gpa{kFree.value() + 8}), 0U);
}

TEST_F(KvmExitTest, MmioDoorbellRingsOnItsValueOnly) {
    auto& machine = make();
    auto bell = EventFd::create();
    const DoorbellAddress address{.at = kUnbacked.value(), .size = 2, .match = 3};
    ASSERT_TRUE(machine.vm().connect(address, bell->fd()));
    Program program;
    program.write(kUnbacked, 3, AccessSize::Word).write(kUnbacked, 4, AccessSize::Word).end();
    ASSERT_TRUE(machine.start(program));

    const auto trace = machine.run();

    EXPECT_EQ(trace.ended, "end");
    EXPECT_THAT(trace.values(Kind::Write), ElementsAre(4));
    EXPECT_TRUE(bell->drain());
}

TEST_F(KvmExitTest, MmioDoorbellOfAnyWidthTakesAllWidths) {
    auto& machine = make();
    auto bell = EventFd::create();
    ASSERT_TRUE(machine.vm().connect({.at = kUnbacked.value()}, bell->fd()));
    Program program;
    program.write(kUnbacked, 1, AccessSize::Byte)
        .write(kUnbacked, 2, AccessSize::Word)
        .write(kUnbacked, 3, AccessSize::Dword)
        .end();
    ASSERT_TRUE(machine.start(program));

    const auto trace = machine.run();
    std::uint64_t count = 0;
    const auto got = ::read(bell->fd(), &count, sizeof count);

    EXPECT_EQ(trace.ended, "end");
    EXPECT_THAT(trace.accesses, IsEmpty());
    EXPECT_EQ(got, 8);
    EXPECT_EQ(count, 3U);
}

TEST_F(KvmExitTest, PortDoorbellStopsAtDisconnect) {
    auto& machine = make();
    auto bell = EventFd::create();
    const DoorbellAddress address{.space = DoorbellAddress::Space::Port, .at = 0x600, .size = 4};
    ASSERT_TRUE(machine.vm().connect(address, bell->fd()));
    Program program;
    program.out(0x600, 1, AccessSize::Dword).in(0x80).out(0x600, 2, AccessSize::Dword).end();
    ASSERT_TRUE(machine.start(program));

    const auto trace =
        machine.run(0, [&](Access&) { machine.vm().disconnect(address, bell->fd()); });

    EXPECT_EQ(trace.ended, "end");
    EXPECT_THAT(trace.values(Kind::Out), ElementsAre(2));
    EXPECT_TRUE(bell->drain());
}

TEST_F(KvmExitTest, SecondDoorbellAtAPlaceIsRefused) {
    auto& machine = make();
    auto bell = EventFd::create();
    ASSERT_TRUE(machine.vm().connect({.at = 0xd000'0000, .size = 4}, bell->fd()));

    const auto again = machine.vm().connect({.at = 0xd000'0000, .size = 4}, bell->fd());

    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().os_error(), EEXIST);
    EXPECT_THAT(again.error().one_line(), HasSubstr("doorbell at gpa 0xd0000000"));
}

TEST_F(KvmExitTest, ExceptionWithoutHandlersIsATripleFault) {
    auto& machine = make();
    Program program;
    program.undefined_instruction().end();
    ASSERT_TRUE(machine.start(program));
    auto system = machine.vcpu().system_registers();
    system->idt.limit = 0;
    ASSERT_TRUE(machine.vcpu().set_system_registers(*system));

    EXPECT_EQ(machine.run().ended, "triple fault");
}

TEST_F(KvmExitTest, ExceptionWithHandlersIsTheGuestsOwn) {
    auto& machine = make();
    Program program;
    program.undefined_instruction().end();
    ASSERT_TRUE(machine.start(program));

    EXPECT_THAT(machine.run().ended, StartsWith("fault 6 at 0x18"));
}

TEST_F(KvmExitTest, CodeWithoutMemoryIsExplained) {
    auto& machine = make();
    ASSERT_TRUE(machine.enter_ring_zero(kUnbacked));

    const auto trace = machine.run();

    EXPECT_THAT(trace.ended,
                AllOf(StartsWith("failed: "), HasSubstr("0xd0000000 (64-bit mode, ring 0)")));
}

TEST_F(KvmExitTest, InstructionThatKvmCannotEmulateIsExplained) {
    const auto advice = kvm::missing_hardware_virtualisation();
    if (advice.empty())
        GTEST_SKIP() << "this KVM runs ring 0 in hardware, where there is nothing to emulate";
    auto& machine = make();
    const unsigned char xgetbv[] = {0x0f, 0x01, 0xd0};
    machine.copy(kFree, std::as_bytes(std::span{xgetbv}));
    ASSERT_TRUE(machine.enter_ring_zero(kFree));

    const auto trace = machine.run();

    EXPECT_THAT(trace.ended,
                StartsWith("failed: KVM could not emulate the guest's instruction at 0x100000 "
                           "(64-bit mode, ring 0); the bytes there: 0f 01 d0"));
    EXPECT_THAT(trace.ended, HasSubstr(advice));
}

TEST_F(KvmExitTest, RefusedCpuidAndMsrAreErrorsThatNameThem) {
    auto& machine = make();
    const hv::x86::Msr unknown[] = {{0xc000'0081, 0}, {0x4b56'4dff, 1}};
    const std::vector<hv::x86::CpuidEntry> too_many(300);

    const auto msrs = machine.vcpu().set_msrs(unknown);
    const auto cpuid = machine.vcpu().set_cpuid(too_many);

    ASSERT_FALSE(msrs);
    EXPECT_EQ(msrs.error().kind(), ErrorKind::Unsupported);
    EXPECT_THAT(msrs.error().one_line(), HasSubstr("MSR 0x4b564dff the value 0x1"));
    ASSERT_FALSE(cpuid);
    EXPECT_THAT(cpuid.error().one_line(), HasSubstr("300 CPUID entries of vCPU 0"));
}

TEST_F(KvmExitTest, RegistersReadBackAsTheyWereSet) {
    auto& machine = make();
    const hv::x86::Registers registers{.rax = 1,
                                       .rbx = 2,
                                       .rcx = 3,
                                       .rdx = 4,
                                       .rsi = 5,
                                       .rdi = 6,
                                       .rsp = 7,
                                       .rbp = 8,
                                       .rip = 0x1000,
                                       .rflags = 0x202};
    ASSERT_TRUE(machine.start(Program{}.end()));
    const auto before = machine.vcpu().system_registers();

    ASSERT_TRUE(machine.vcpu().set_registers(registers));
    ASSERT_TRUE(machine.vcpu().set_system_registers(*before));
    const auto now = machine.vcpu().registers();
    const auto after = machine.vcpu().system_registers();

    EXPECT_EQ(now->rax, 1U);
    EXPECT_EQ(now->rdi, 6U);
    EXPECT_EQ(now->rbp, 8U);
    EXPECT_EQ(now->rip, 0x1000U);
    EXPECT_EQ(now->rflags, 0x202U);
    EXPECT_EQ(after->cs.selector, 0x3b);
    EXPECT_EQ(after->cs.dpl, 3);
    EXPECT_TRUE(after->cs.l);
    EXPECT_EQ(after->cr3, 0x1000U);
    EXPECT_EQ(after->efer, 0x500U);
    EXPECT_EQ(after->tr.limit, 0x2068U);
}

TEST_F(KvmExitTest, SlotsComeAndGoWhileTheGuestRuns) {
    auto& machine = make();
    alignas(4096) static std::byte page[4096];
    const MemoryRegion region{.range = {kUnbacked, sizeof page}, .host = page};
    Program program;
    program.read(kUnbacked).in(0x80).read(kUnbacked).in(0x80).read(kUnbacked).end();
    ASSERT_TRUE(machine.start(program));
    page[0] = std::byte{0x5a};

    // From another thread while the vCPU waits for its answer, as a hot-plug would.
    const auto trace = machine.run(0, [&, present = false](Access& access) mutable {
        if (access.kind != Kind::In)
            return;
        std::thread{[&] {
            if (present)
                machine.vm().memory_removed(region);
            else
                EXPECT_TRUE(machine.vm().memory_added(region));
        }}.join();
        present = !present;
    });

    EXPECT_EQ(trace.ended, "end");
    EXPECT_EQ(machine.result(0), 0xffff'ffffU);
    EXPECT_EQ(machine.result(2), 0x5aU);
    EXPECT_EQ(machine.result(4), 0xffff'ffffU);
}

TEST_F(KvmExitTest, SlotRemovedUnderASpinningGuestTurnsIntoMmio) {
    auto& machine = make();
    alignas(4096) static std::byte page[4096];
    const MemoryRegion region{.range = {kUnbacked, sizeof page}, .host = page};
    ASSERT_TRUE(machine.vm().memory_added(region));
    Program program;
    program.wait(kUnbacked, 1).end();  // the page holds zero
    ASSERT_TRUE(machine.start(program));
    std::thread remover{[&] {
        std::this_thread::sleep_for(std::chrono::milliseconds{20});
        machine.vm().memory_removed(region);
    }};

    const auto trace = machine.run();  // all ones end the wait
    remover.join();

    EXPECT_EQ(trace.ended, "end");
    EXPECT_THAT(trace.accesses, SizeIs(1));
    EXPECT_THAT(trace.values(Kind::Read), Each(~std::uint64_t{0}));
}

TEST_F(KvmExitTest, OverlappingSlotIsRefusedAndNamed) {
    auto& machine = make();
    alignas(4096) static std::byte page[4096];

    const auto result = machine.vm().memory_added({.range = {Gpa{0x1000}, 4096}, .host = page});

    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().os_error(), EEXIST);
    EXPECT_THAT(result.error().one_line(), HasSubstr("0x1000 bytes of RAM at gpa 0x1000"));
}

}  // namespace
}  // namespace vmm::payload
