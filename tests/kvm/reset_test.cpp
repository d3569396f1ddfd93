// SPDX-License-Identifier: Apache-2.0
// As after power-on, and then once more.
#include "fixture.hpp"

namespace vmm::payload {
namespace {

using testing::ElementsAre;
using Kind = Access::Kind;

using KvmResetTest = KvmFixture;

constexpr Gpa kSpuriousVector{kLocalApic.value() + 0xf0};
constexpr Gpa kLvt0{kLocalApic.value() + 0x350};
constexpr std::uint32_t kStar = 0xc000'0081;

TEST_F(KvmResetTest, RegistersAreThoseOfPowerOn) {
    auto& machine = make();
    ASSERT_TRUE(machine.start(Program{}.end()));
    ASSERT_EQ(machine.run().ended, "end");

    ASSERT_TRUE(machine.vcpu().reset());
    const auto registers = machine.vcpu().registers();
    const auto system = machine.vcpu().system_registers();

    EXPECT_EQ(registers->rip, 0xfff0U);
    EXPECT_EQ(registers->rflags, 2U);
    EXPECT_EQ(registers->rsp, 0U);
    EXPECT_EQ(registers->rdi, 0U);
    EXPECT_EQ(system->cs.selector, 0xf000);
    EXPECT_EQ(system->cs.base, 0xffff'0000U);
    EXPECT_EQ(system->cr0, 0x6000'0010U);
    EXPECT_EQ(system->cr3, 0U);
    EXPECT_EQ(system->cr4, 0U);
    EXPECT_EQ(system->efer, 0U);
    EXPECT_EQ(system->idt.limit, 0xffff);
}

TEST_F(KvmResetTest, ResetVcpuLooksLikeANewOne) {
    auto& used = make({.vcpus = 2});
    ASSERT_TRUE(used.start(Program{}.end()));
    ASSERT_EQ(used.run().ended, "end");
    ASSERT_TRUE(used.vcpu(0).reset());
    auto fresh = Machine::create({});
    ASSERT_TRUE(fresh);

    const auto a = used.vcpu(0).system_registers();
    const auto b = (*fresh)->vcpu(0).system_registers();

    EXPECT_EQ(a->cs.base, b->cs.base);
    EXPECT_EQ(a->cs.type, b->cs.type);
    EXPECT_EQ(a->ds.type, b->ds.type);
    EXPECT_EQ(a->tr.type, b->tr.type);
    EXPECT_EQ(a->tr.limit, b->tr.limit);
    EXPECT_EQ(a->ldt.type, b->ldt.type);
    EXPECT_EQ(a->gdt.limit, b->gdt.limit);
    EXPECT_EQ(a->cr0, b->cr0);
}

TEST_F(KvmResetTest, LocalApicForgetsWhatTheGuestSet) {
    auto& machine = make();
    Program first;
    first.enable_local_apic().write(kLvt0, 0x1'0000).end();
    ASSERT_TRUE(machine.start(first));
    ASSERT_EQ(machine.run().ended, "end");

    ASSERT_TRUE(machine.vcpu().reset());
    Program second;
    second.read(kSpuriousVector).read(kLvt0).end();
    ASSERT_TRUE(machine.start(second));
    const auto trace = machine.run();

    EXPECT_EQ(trace.ended, "end");
    EXPECT_EQ(machine.result(0), 0xffU);
    EXPECT_EQ(machine.result(1), 0x700U);
}

TEST_F(KvmResetTest, FreshLocalApicReadsTheSame) {
    auto& machine = make();
    Program program;
    program.read(kSpuriousVector).read(kLvt0).end();
    ASSERT_TRUE(machine.start(program));

    EXPECT_EQ(machine.run().ended, "end");
    EXPECT_EQ(machine.result(0), 0xffU);
    EXPECT_EQ(machine.result(1), 0x700U);
}

TEST_F(KvmResetTest, PendingInterruptIsForgotten) {
    auto& machine = make();
    const auto msi = machine.vm().allocate();
    ASSERT_TRUE((*msi)->unmask({kLocalApic.value(), 0x51}));
    Program program;
    program.enable_local_apic().in(0x80).end();
    ASSERT_TRUE(machine.start(program));  // interrupts off: it stays pending
    ASSERT_EQ(machine.run(0, [&](Access&) { (*msi)->signal(); }).ended, "end");

    ASSERT_TRUE(machine.vcpu().reset());
    Program again;
    again.enable_local_apic().in(0x80).in(0x80).end();
    ASSERT_TRUE(machine.start(again, 0, true));
    const auto trace = machine.run();

    EXPECT_EQ(trace.ended, "end");
    EXPECT_EQ(machine.interrupts(0x51), 0U);
}

TEST_F(KvmResetTest, InterruptControllersForgetTheirRoutes) {
    auto& machine = make();
    Program first;
    first.route_pin(5, 0x51).end();
    ASSERT_TRUE(machine.start(first));
    ASSERT_EQ(machine.run().ended, "end");

    ASSERT_TRUE(machine.vcpu().reset());
    ASSERT_TRUE(machine.vm().reset());
    Program second;
    second.write(kIoApic, 0x10 + 2 * 5).read(Gpa{kIoApic.value() + 0x10}).end();
    ASSERT_TRUE(machine.start(second));
    const auto trace = machine.run();

    EXPECT_EQ(trace.ended, "end");
    EXPECT_EQ(machine.result(1), 0x1'0000U);  // masked
}

TEST_F(KvmResetTest, MessagesReachAGuestAfterReset) {
    auto& machine = make();
    const auto msi = machine.vm().allocate();
    ASSERT_TRUE((*msi)->unmask({kLocalApic.value(), 0x51}));
    ASSERT_TRUE(machine.vm().reset());
    ASSERT_TRUE(machine.vcpu().reset());
    Program program;
    program.enable_local_apic().in(0x80).wait(counter(0x51), 1).end();
    ASSERT_TRUE(machine.start(program, 0, true));

    const auto trace = machine.run(0, [&](Access&) { (*msi)->signal(); });

    EXPECT_EQ(trace.ended, "end");
}

TEST_F(KvmResetTest, AnswerOfTheLastReadDoesNotLeakIntoTheNewLife) {
    auto& machine = make();
    Program program;
    program.in(0x80).end();
    ASSERT_TRUE(machine.start(program));
    const auto exit = machine.vcpu().run();
    ASSERT_TRUE(exit && std::holds_alternative<hv::exit::PortIn>(*exit));
    std::get<hv::exit::PortIn>(*exit).data[0] = std::byte{0x77};

    ASSERT_TRUE(machine.vcpu().reset());
    machine.vcpu().kick();
    const auto next = machine.vcpu().run();

    EXPECT_TRUE(next && std::holds_alternative<hv::exit::Interrupted>(*next));
    EXPECT_EQ(machine.vcpu().registers()->rax, 0U);
    EXPECT_EQ(machine.vcpu().registers()->rip, 0xfff0U);
}

TEST_F(KvmResetTest, ResetInTheMiddleOfALongStringWrite) {
    auto& machine = make();
    Program program;
    program.out_string(0x80, kFree, 100'000, AccessSize::Byte).end();
    ASSERT_TRUE(machine.start(program));
    const auto exit = machine.vcpu().run();
    ASSERT_TRUE(exit && std::holds_alternative<hv::exit::PortOut>(*exit));

    ASSERT_TRUE(machine.vcpu().reset());
    Program second;
    second.out(0x81, 5).end();
    ASSERT_TRUE(machine.start(second));
    const auto trace = machine.run();

    EXPECT_EQ(trace.ended, "end");
    EXPECT_THAT(trace.accesses, ElementsAre(Access{Kind::Out, 0x81, {std::byte{5}}}));
}

TEST_F(KvmResetTest, CompletedStringWriteSaysThatMoreComes) {
    auto& machine = make();
    machine.store(kFree, std::uint32_t{0x0403'0201});
    Program program;
    program.out_string(0x80, kFree, 4, AccessSize::Byte).end();
    ASSERT_TRUE(machine.start(program));
    ASSERT_TRUE(machine.vcpu().run());

    // However KVM cuts the string, every element comes out once.
    std::vector<std::byte> rest;
    for (auto done = machine.vcpu().complete_io(); done && !*done;
         done = machine.vcpu().complete_io()) {
        const auto exit = machine.vcpu().run();
        const auto data = std::get<hv::exit::PortOut>(*exit).data;
        rest.insert(rest.end(), data.begin(), data.end());
    }
    const auto trace = machine.run();

    std::vector<std::byte> all{rest};
    for (const auto& access : trace.accesses)
        all.insert(all.end(), access.data.begin(), access.data.end());
    EXPECT_EQ(trace.ended, "end");
    EXPECT_EQ(all.empty() ? std::byte{4} : all.back(), std::byte{4});
    EXPECT_TRUE(all.size() == 3 || all.empty()) << all.size();
}

TEST_F(KvmResetTest, CompleteIoKeepsAKick) {
    auto& machine = make();
    Program program;
    program.in(0x80).wait(kFree, 1);
    ASSERT_TRUE(machine.start(program));
    ASSERT_TRUE(machine.vcpu().run());
    machine.vcpu().kick();

    const auto done = machine.vcpu().complete_io();
    const auto next = machine.vcpu().run();

    EXPECT_TRUE(done && *done);
    EXPECT_TRUE(next && std::holds_alternative<hv::exit::Interrupted>(*next));
}

TEST_F(KvmResetTest, SecondVcpuWaitsForInitAgain) {
    auto& machine = make({.vcpus = 2});
    ASSERT_TRUE(machine.vcpu(1).reset());
    machine.vcpu(1).kick();

    const auto exit = machine.vcpu(1).run();

    EXPECT_TRUE(exit && std::holds_alternative<hv::exit::Interrupted>(*exit));
    EXPECT_EQ(machine.vcpu(1).registers()->rip, 0xfff0U);
}

TEST_F(KvmResetTest, ManyLivesInOneMachine) {
    auto& machine = make();
    const auto line = machine.vm().irq_line(hv::Gsi{5});
    Program program;
    program.enable_local_apic().route_pin(5, 0x51).in(0x80).wait(counter(0x51), 1).end();

    std::string ended = "end";
    for (int life = 0; life < 50 && ended == "end"; ++life) {
        machine.store(counter(0x51), std::uint64_t{0});
        ASSERT_TRUE(machine.start(program, 0, true));
        ended = machine.run(0, [&](Access&) { (*line)->pulse(); }).ended;
        ASSERT_TRUE(machine.vcpu().reset());
        ASSERT_TRUE(machine.vm().reset());
    }

    EXPECT_EQ(ended, "end");
    EXPECT_EQ(machine.interrupts(0x51), 1U);
}

TEST_F(KvmResetTest, SystemCallTargetIsForgotten) {
    auto& machine = make();
    const hv::x86::Msr star[] = {{kStar, 0x0023'0010'0000'0000}};
    ASSERT_TRUE(machine.vcpu().set_msrs(star));

    ASSERT_TRUE(machine.vcpu().reset());

    // RDMSR in ring 0: the two halves go into memory through a few bytes of our own.
    const unsigned char code[] = {0xb9, 0x81, 0x00, 0x00, 0xc0,  // mov $STAR, %ecx
                                  0x0f, 0x32,                    // rdmsr
                                  0x09, 0xd0,                    // or %edx, %eax
                                  0xe7, 0x80,                    // out %eax, $0x80
                                  0xe6, 0xf4};                   // out %al, $0xf4
    machine.copy(kFree, std::as_bytes(std::span{code}));
    ASSERT_TRUE(machine.enter_ring_zero(kFree));
    const auto trace = machine.run();

    EXPECT_EQ(trace.ended, "end");
    EXPECT_THAT(trace.values(Kind::Out), ElementsAre(0));
}

}  // namespace
}  // namespace vmm::payload
