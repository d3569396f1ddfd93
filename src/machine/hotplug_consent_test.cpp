// SPDX-License-Identifier: Apache-2.0
// The guest's say in devices that come and go: machines with a hot-plug controller on hv/fake. What
// a guest's ACPI methods do with its registers is scripted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "machine/hotplug_test_support.hpp"
#include "vmm/acpi_registers.hpp"

namespace vmm::machine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::chrono_literals;

constexpr auto kAdded =
    static_cast<std::uint16_t>(x86_64::kPortPciHotplug.first + acpi::pci_hotplug::kAdded);
constexpr auto kAsked =
    static_cast<std::uint16_t>(x86_64::kPortPciHotplug.first + acpi::pci_hotplug::kAsked);
constexpr auto kEject =
    static_cast<std::uint16_t>(x86_64::kPortPciHotplug.first + acpi::pci_hotplug::kEject);
constexpr std::uint32_t kBit2 = 1U << 2;  // of slot 2
constexpr std::uint64_t kDiskIdentity = 0x1042'1af4;

class ConsentTest : public HotplugTest {
protected:
    ConsentTest() { hotplug = true; }

    std::uint64_t in(std::uint16_t port, AccessSize size = AccessSize::Dword) {
        vm->plan(1, {fake::In{port, size}});
        EXPECT_TRUE(vm->vcpu(1)->wait_until_idle());
        std::uint64_t value = 0;
        const auto bytes = vm->vcpu(1)->answers().back();
        std::memcpy(&value, bytes.data(), bytes.size());
        return value;
    }
    void out(std::uint16_t port, std::uint64_t value, AccessSize size = AccessSize::Dword) {
        vm->plan(1, {fake::out(port, value, size)});
        EXPECT_TRUE(vm->vcpu(1)->wait_until_idle());
    }
    /// The guest has an event to handle.
    bool interrupted() const { return vm->is_high(x86_64::kGsiGed); }
    /// What the loop has to do after the guest's last write.
    void let_the_loop_look() { machine->device_ended(); }

    NewDevice stub(std::string id) {
        struct Stub final : StubDevice {};
        return {std::move(id), [](const std::string&, const DeviceParts&) -> Result<MadeDevice> {
                    return MadeDevice{std::make_unique<Stub>(), {}};
                }};
    }
    std::string identity_of(pci::Address where) {
        const auto found = cpu.config(where, 0, 4);
        return found == kDiskIdentity ? "a disk" : found == kNobody ? "nobody" : "something else";
    }
};

TEST_F(ConsentTest, GuestIsToldOfANewDeviceAndFindsIt) {
    start_guest();
    EXPECT_FALSE(interrupted());

    ASSERT_TRUE(machine->add_device(fake_disk("data")));

    EXPECT_TRUE(interrupted());
    EXPECT_EQ(in(kAdded), kBit2);
    EXPECT_FALSE(interrupted());
    EXPECT_EQ(in(kAsked), 0u);
    EXPECT_EQ(identity_of(kSlot2), "a disk");
}

TEST_F(ConsentTest, GuestIsAskedAndKeepsTheDeviceUntilItLetsGo) {
    start_guest();
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    in(kAdded);
    GuestDriver disk{cpu, kSlot2, kSecondRings};
    bring_up(disk);

    remove("data", Removal::WithConsent);
    EXPECT_TRUE(interrupted());
    EXPECT_EQ(in(kAsked), kBit2);
    EXPECT_FALSE(interrupted());
    out(kEject, 1U << 1);  // what it was not asked for
    let_the_loop_look();
    read_sector(disk);
    EXPECT_TRUE(disk.wait_until_used());
    EXPECT_EQ(answer, std::nullopt);
    EXPECT_EQ(machine->find_device("rng"), kSlot1);

    out(kEject, kBit2);
    EXPECT_EQ(wait_for_answer(), "gone");
    EXPECT_EQ(identity_of(kSlot2), "nobody");
    EXPECT_EQ(machine->find_device("rng"), kSlot1);
}

TEST_F(ConsentTest, SlotReadsAsEjectedUntilTheGuestCannotFindTheDevice) {
    start_guest();
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    remove("data", Removal::WithConsent);

    out(kEject, kBit2);
    EXPECT_EQ(in(kEject), kBit2);
    EXPECT_EQ(identity_of(kSlot2), "a disk");
    let_the_loop_look();

    EXPECT_EQ(in(kEject), 0u);
    EXPECT_EQ(identity_of(kSlot2), "nobody");
    EXPECT_EQ(wait_for_answer(), "gone");
}

TEST_F(ConsentTest, GuestThatRefusedIsAskedAgainAndBothWhoAskedAreAnswered) {
    start_guest();
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    std::vector<std::string> answers;
    const auto ask = [&](const char* who) {
        machine->remove_device("data", Removal::WithConsent, [&answers, who](const Result<>& done) {
            answers.push_back(done ? who : done.error().one_line());
        });
    };

    ask("first");
    EXPECT_EQ(in(kAsked), kBit2);
    ask("second");
    EXPECT_EQ(in(kAsked), kBit2);
    EXPECT_THAT(answers, IsEmpty());
    out(kEject, kBit2);
    while (answers.size() < 2)
        machine->device_ended();

    EXPECT_THAT(answers, ElementsAre("first", "second"));
}

TEST_F(ConsentTest, DeviceOfAGuestThatDoesNotAnswerCanBeTakenAway) {
    start_guest();
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    remove("data", Removal::WithConsent);

    EXPECT_EQ(remove_and_wait("data"), "gone");

    EXPECT_FALSE(interrupted());
    EXPECT_EQ(in(kAdded), 0u);
    EXPECT_EQ(in(kAsked), 0u);
}

TEST_F(ConsentTest, LateAnswerDoesNotTakeTheNextDeviceInThatSlot) {
    start_guest();
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    remove("data", Removal::WithConsent);
    EXPECT_EQ(in(kAsked), kBit2);
    EXPECT_EQ(remove_and_wait("data"), "gone");
    ASSERT_TRUE(machine->add_device(fake_disk("more")));

    out(kEject, kBit2);
    let_the_loop_look();

    EXPECT_EQ(machine->find_device("more"), kSlot2);
    EXPECT_EQ(identity_of(kSlot2), "a disk");
    EXPECT_EQ(in(kEject), 0u);
    EXPECT_EQ(in(kAdded), kBit2);
}

TEST_F(ConsentTest, ResetTakesTheDeviceThatTheGuestWasAskedFor) {
    start_guest();
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    ASSERT_TRUE(machine->add_device(fake_disk("more")));
    remove("data", Removal::WithConsent);

    ASSERT_TRUE(reset());

    EXPECT_EQ(wait_for_answer(), "gone");
    EXPECT_EQ(cpu.config(kSlot2, 0, 4), kNobody);
    EXPECT_EQ(cpu.config({.slot = 3, .function = 0}, 0, 4), 0x1042'1af4u);
    EXPECT_FALSE(interrupted()) << "a guest that starts looks at all slots";
    EXPECT_EQ(in(kAdded), 0u);
    EXPECT_EQ(in(kAsked), 0u);
}

TEST_F(ConsentTest, ResetBetweenTheGuestsAnswerAndTheLoopTakesTheDeviceOnce) {
    start_guest();
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    remove("data", Removal::WithConsent);
    out(kEject, kBit2);

    ASSERT_TRUE(reset());

    EXPECT_EQ(wait_for_answer(), "gone");
    EXPECT_EQ(in(kEject), 0u);
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    let_the_loop_look();
    EXPECT_EQ(identity_of(kSlot2), "a disk");
}

TEST_F(ConsentTest, PausedGuestAnswersWhenItGoesOn) {
    start_guest();
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    machine->pause();
    remove("data", Removal::WithConsent);
    let_the_loop_look();
    EXPECT_EQ(answer, std::nullopt);
    machine->resume();

    EXPECT_EQ(in(kAsked), kBit2);
    out(kEject, kBit2);

    EXPECT_EQ(wait_for_answer(), "gone");
}

TEST_F(ConsentTest, MachineEndsWithAQuestionOpen) {
    start_guest();
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    remove("data", Removal::WithConsent);
    out(kEject, kBit2);

    machine->stop();

    EXPECT_THAT(machine->stop_devices(10s), IsEmpty());
    EXPECT_EQ(answer, "gone");
}

TEST_F(ConsentTest, PowerButtonAndHotplugShareAnInterrupt) {
    start_guest();
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    machine->press_power_button();

    EXPECT_EQ(in(x86_64::kPortGed, AccessSize::Byte), 1u);
    EXPECT_TRUE(interrupted());
    EXPECT_EQ(in(kAdded), kBit2);
    EXPECT_FALSE(interrupted());
    machine->press_power_button();
    EXPECT_TRUE(interrupted());
    EXPECT_EQ(in(kAdded), 0u);
    EXPECT_TRUE(interrupted());
}

TEST_F(ConsentTest, DeviceThatSharesItsSlotGoesWithoutConsentOnly) {
    start_guest();
    for (unsigned slot = 2; slot < pci::kSlots; ++slot)
        ASSERT_TRUE(machine->add_device(stub("stub" + std::to_string(slot))));
    EXPECT_EQ(in(kAdded), 0xffff'fffcu);
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    ASSERT_EQ(machine->find_device("data"), (pci::Address{.slot = 1, .function = 1}));
    EXPECT_EQ(in(kAdded), 2u);

    EXPECT_EQ(remove_and_wait("rng"),
              "'rng' shares its PCI slot with others, which the guest would not find without it");
    answer.reset();
    remove("data", Removal::WithConsent);

    EXPECT_EQ(answer,
              "'data' shares its PCI slot with others, which the guest would have to let go with "
              "it");
    EXPECT_EQ(in(kAsked), 0u);
    EXPECT_EQ(remove_and_wait("data"), "gone");
    remove("rng", Removal::WithConsent);
    EXPECT_EQ(in(kAsked), 2u);
}

TEST_F(ConsentTest, DeviceThatComesSharesNoSlotThatTheGuestLetsGo) {
    start_guest();
    for (unsigned slot = 2; slot < pci::kSlots; ++slot)
        ASSERT_TRUE(machine->add_device(stub("stub" + std::to_string(slot))));
    remove("rng", Removal::WithConsent);
    ASSERT_TRUE(machine->add_device(fake_disk("data")));

    EXPECT_EQ(machine->find_device("data"), (pci::Address{.slot = 2, .function = 1}));
    out(kEject, 2);
    EXPECT_EQ(wait_for_answer(), "gone");
    EXPECT_EQ(machine->find_device("data"), (pci::Address{.slot = 2, .function = 1}));
}

TEST_F(ConsentTest, DeviceThatCouldOnlyShareSlotsThatTheGuestLetsGoIsRefused) {
    start_guest();
    for (unsigned slot = 2; slot < pci::kSlots; ++slot)
        ASSERT_TRUE(machine->add_device(stub("stub" + std::to_string(slot))));
    remove("rng", Removal::WithConsent);
    for (unsigned slot = 2; slot < pci::kSlots; ++slot)
        remove("stub" + std::to_string(slot), Removal::WithConsent);

    EXPECT_EQ(
        refusal_of(fake_disk("data")),
        "put data on the bus: the only PCI slots with room are those that the guest is asked to "
        "let go of");
    out(kEject, 2);
    EXPECT_EQ(wait_for_answer(), "gone");
    EXPECT_EQ(refusal_of(fake_disk("data")), "added");
    EXPECT_EQ(machine->find_device("data"), kSlot1);
}

// A hostile guest.

TEST_F(ConsentTest, NothingGoesThatNobodyAskedFor) {
    start_guest();
    ASSERT_TRUE(machine->add_device(fake_disk("data")));

    out(kEject, 0xffff'ffff);
    let_the_loop_look();

    EXPECT_EQ(machine->find_device("rng"), kSlot1);
    EXPECT_EQ(identity_of(kSlot2), "a disk");
    EXPECT_EQ(identity_of({}), "something else");  // the host bridge
    EXPECT_EQ(in(kEject), 0u);
}

TEST_F(ConsentTest, EjectsOfOddSizesAndPlacesAreNoAnswer) {
    start_guest();
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    remove("data", Removal::WithConsent);

    out(kEject, kBit2, AccessSize::Byte);
    out(kEject, kBit2, AccessSize::Word);
    out(kEject - 2, kBit2 << 16);
    out(kEject + 1, kBit2);
    let_the_loop_look();

    EXPECT_EQ(answer, std::nullopt);
    EXPECT_EQ(identity_of(kSlot2), "a disk");
    EXPECT_EQ(in(kEject, AccessSize::Byte), 0xffu);
    EXPECT_EQ(in(kAsked), kBit2);
}

TEST_F(ConsentTest, StormOfEjectsWhileTheDeviceLeavesTakesNothingElse) {
    start_guest();
    GuestDriver disk{cpu, kSlot2, kSecondRings};
    add_disk_with_a_request(disk);
    remove("data", Removal::WithConsent);

    std::vector<fake::Step> storm;
    for (int i = 0; i < 500; ++i) {
        storm.push_back(fake::out(kEject, 0xffff'ffff, AccessSize::Dword));
        storm.push_back(fake::In{kAsked, AccessSize::Dword});
    }
    vm->plan(0, storm);
    while (medium->cancelled() == 0)
        machine->device_ended();
    ASSERT_TRUE(machine->add_device(stub("next")));
    vm->plan(0, storm);
    ASSERT_TRUE(vm->vcpu(0)->wait_until_idle());
    EXPECT_EQ(answer, std::nullopt) << "freed while the host had a request of it";
    medium->release_all();

    EXPECT_EQ(wait_for_answer(), "gone");
    EXPECT_EQ(machine->find_device("rng"), kSlot1);
    EXPECT_EQ(machine->find_device("next"), kSlot2);
    EXPECT_EQ(identity_of(kSlot2), "something else");
}

// Under a guest at work.

TEST_F(ConsentTest, DevicesComeAndGoWithConsentWhileTheGuestWorks) {
    start_guest();
    work();
    GuestDriver disk{cpu, kSlot2, kSecondRings};
    std::size_t open = 0;
    for (int i = 0; i < 50; ++i) {
        ASSERT_TRUE(machine->add_device(fake_disk("data"))) << i;
        ASSERT_EQ(in(kAdded), kBit2) << i;
        if (i % 5 == 0) {
            bring_up(disk);
            read_sector(disk);
        }
        remove("data", Removal::WithConsent);
        ASSERT_EQ(in(kAsked), kBit2) << i;
        out(kEject, kBit2);
        ASSERT_EQ(wait_for_answer(), "gone") << i;
        ASSERT_EQ(in(kEject), 0u) << i;
        open = i == 0 ? open_files() : open;
    }
    wait_for_rounds(3);

    EXPECT_EQ(open_files(), open);
    EXPECT_FALSE(interrupted());
}

// A machine that has none, and one that has nothing else.

TEST_F(HotplugTest, WithoutAControllerTheGuestHasNothingOfIt) {
    start_guest();

    vm->plan(1, {fake::In{kAdded, AccessSize::Dword}});
    ASSERT_TRUE(vm->vcpu(1)->wait_until_idle());

    EXPECT_THAT(vm->vcpu(1)->answers(), ElementsAre(fake::little_endian(0xffff'ffff, 4)));
    EXPECT_FALSE(tables_have("HPEV"));
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    EXPECT_FALSE(vm->is_high(x86_64::kGsiGed));
}

TEST_F(ConsentTest, MachineThatStartsWithoutDevicesSaysWhereTheyWillBe) {
    config.rng.reset();
    start_guest();

    for (const char* const name : {"HPEV", "HPRG", "S001", "_PRT", "MCFG"})
        EXPECT_TRUE(tables_have(name)) << name;
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    EXPECT_EQ(in(kAdded), 2u);
    EXPECT_EQ(identity_of(kSlot1), "a disk");
}

}  // namespace
}  // namespace vmm::machine
