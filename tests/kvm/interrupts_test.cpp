// SPDX-License-Identifier: Apache-2.0
// Every way in which an interrupt reaches a guest, and vCPUs that wake each other.
#include <atomic>
#include <thread>

#include "fixture.hpp"
#include "vmm/event_fd.hpp"

namespace vmm::payload {
namespace {

using testing::ElementsAre;
using Kind = Access::Kind;

using KvmInterruptTest = KvmFixture;

constexpr std::uint8_t kVector = 0x51;
constexpr bool kWithInterrupts = true;

/// Message to vCPU 0: fixed delivery, physical destination.
constexpr MsiMessage to_vector(std::uint8_t vector) {
    return {kLocalApic.value(), vector};
}

TEST_F(KvmInterruptTest, LineRaisesAnEdgeInterrupt) {
    auto& machine = make();
    const auto line = machine.vm().irq_line(hv::Gsi{5});
    Program program;
    program.enable_local_apic().route_pin(5, kVector).in(0x80).wait(counter(kVector), 1).end();
    ASSERT_TRUE(machine.start(program, 0, kWithInterrupts));

    const auto trace = machine.run(0, [&](Access&) { (*line)->pulse(); });

    EXPECT_EQ(trace.ended, "end");
    EXPECT_EQ(machine.interrupts(kVector), 1U);
}

TEST_F(KvmInterruptTest, LevelInterruptComesAgainUntilTheLineIsLow) {
    auto& machine = make();
    const auto line = machine.vm().irq_line(hv::Gsi{16});
    Program program;
    program.enable_local_apic()
        .route_pin(16, kVector, true)
        .in(0x80)
        .wait(counter(kVector), 3)
        .in(0x81)
        .end();
    ASSERT_TRUE(machine.start(program, 0, kWithInterrupts));

    const auto trace = machine.run(0, [&](Access& access) { (*line)->set(access.at == 0x80); });

    EXPECT_EQ(trace.ended, "end");
    EXPECT_GE(machine.interrupts(kVector), 3U);
}

TEST_F(KvmInterruptTest, PinThatDoesNotExistIsAnError) {
    auto& machine = make();

    const auto line = machine.vm().irq_line(hv::Gsi{24});

    ASSERT_FALSE(line);
    EXPECT_THAT(line.error().one_line(), testing::HasSubstr("no interrupt pin 24"));
}

TEST_F(KvmInterruptTest, MessageReachesItsVector) {
    auto& machine = make();
    const auto msi = machine.vm().allocate();
    ASSERT_TRUE((*msi)->unmask(to_vector(kVector)));
    Program program;
    program.enable_local_apic().in(0x80).wait(counter(kVector), 1).end();
    ASSERT_TRUE(machine.start(program, 0, kWithInterrupts));

    const auto trace = machine.run(0, [&](Access&) { (*msi)->signal(); });

    EXPECT_EQ(trace.ended, "end");
    EXPECT_EQ(machine.interrupts(kVector), 1U);
}

TEST_F(KvmInterruptTest, MaskedMessageWaitsAndComesOnceUnmasked) {
    auto& machine = make();
    const auto msi = machine.vm().allocate();
    ASSERT_TRUE((*msi)->unmask(to_vector(kVector)));
    (*msi)->mask();
    Program program;
    program.enable_local_apic()
        .in(0x80)  // signal while masked
        .read(counter(kVector))
        .in(0x81)  // unmask
        .wait(counter(kVector), 1)
        .end();
    ASSERT_TRUE(machine.start(program, 0, kWithInterrupts));

    const auto trace = machine.run(0, [&](Access& access) {
        if (access.at == 0x80)
            (*msi)->signal();
        else
            EXPECT_TRUE((*msi)->unmask(to_vector(kVector)));
    });

    EXPECT_EQ(trace.ended, "end");
    EXPECT_EQ(machine.interrupts(kVector), 1U);
}

TEST_F(KvmInterruptTest, ChangedMessageGoesToTheNewVector) {
    auto& machine = make();
    const auto msi = machine.vm().allocate();
    const auto other = machine.vm().allocate();
    ASSERT_TRUE((*msi)->unmask(to_vector(kVector)));
    ASSERT_TRUE((*other)->unmask(to_vector(0x53)));
    Program program;
    program.enable_local_apic().in(0x80).wait(counter(0x52), 1).wait(counter(0x53), 1).end();
    ASSERT_TRUE(machine.start(program, 0, kWithInterrupts));

    const auto trace = machine.run(0, [&](Access&) {
        EXPECT_TRUE((*msi)->unmask(to_vector(0x52)));
        (*msi)->signal();
        (*other)->signal();
    });

    EXPECT_EQ(trace.ended, "end");
    EXPECT_EQ(machine.interrupts(kVector), 0U);
    EXPECT_EQ(machine.interrupts(0x52), 1U);
    EXPECT_EQ(machine.interrupts(0x53), 1U);
}

TEST_F(KvmInterruptTest, PinsStillWorkAfterRoutesWereSet) {
    auto& machine = make();
    const auto msi = machine.vm().allocate();
    const auto line = machine.vm().irq_line(hv::Gsi{4});
    ASSERT_TRUE((*msi)->unmask(to_vector(0x53)));
    Program program;
    program.enable_local_apic().route_pin(4, kVector).in(0x80).wait(counter(kVector), 1).end();
    ASSERT_TRUE(machine.start(program, 0, kWithInterrupts));

    const auto trace = machine.run(0, [&](Access&) { (*line)->pulse(); });

    EXPECT_EQ(trace.ended, "end");
    EXPECT_EQ(machine.interrupts(kVector), 1U);
}

TEST_F(KvmInterruptTest, SignalsFromAnotherThreadReachASpinningGuest) {
    auto& machine = make();
    const auto msi = machine.vm().allocate();
    ASSERT_TRUE((*msi)->unmask(to_vector(kVector)));
    Program program;
    program.enable_local_apic().wait(counter(kVector), 1).end();
    ASSERT_TRUE(machine.start(program, 0, kWithInterrupts));
    std::atomic<bool> done = false;
    std::thread device{[&] {
        while (!done) {
            (*msi)->signal();
            std::this_thread::sleep_for(std::chrono::milliseconds{1});
        }
    }};

    const auto trace = machine.run();
    done = true;
    device.join();

    EXPECT_EQ(trace.ended, "end");
}

TEST_F(KvmInterruptTest, InitAndSipiStartTheSecondVcpu) {
    auto& machine = make({.vcpus = 2});
    const Gpa command_high{kLocalApic.value() + 0x310};
    const Gpa command_low{kLocalApic.value() + 0x300};
    Program program;
    program.enable_local_apic()
        .write(command_high, 1U << 24)  // to APIC id 1
        .write(command_low, 0x4500)     // INIT
        .write(command_high, 1U << 24)
        .write(command_low, 0x4600 | kTrampoline.value() >> 12)  // SIPI
        .end();
    ASSERT_TRUE(machine.start(program));
    std::vector<Access> second;
    std::thread other{[&] {
        // Waits for INIT and SIPI inside run(); then the code at the trampoline speaks.
        const auto exit = machine.vcpu(1).run();
        if (const auto* out = exit ? std::get_if<hv::exit::PortOut>(&*exit) : nullptr)
            second.push_back({Kind::Out, out->port, {out->data.begin(), out->data.end()}});
    }};

    const auto first = machine.run();
    other.join();

    EXPECT_EQ(first.ended, "end");
    EXPECT_THAT(second, ElementsAre(Access{Kind::Out, kApPort, {std::byte{'A'}}}));
}

TEST_F(KvmInterruptTest, WaitingVcpuCanBeKicked) {
    auto& machine = make({.vcpus = 2});
    std::atomic<bool> interrupted = false;
    std::thread other{[&] {
        const auto exit = machine.vcpu(1).run();
        interrupted = exit && std::holds_alternative<hv::exit::Interrupted>(*exit);
    }};
    std::this_thread::sleep_for(std::chrono::milliseconds{20});

    machine.vcpu(1).kick();
    other.join();

    EXPECT_TRUE(interrupted);
}

}  // namespace
}  // namespace vmm::payload
