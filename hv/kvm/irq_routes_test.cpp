// SPDX-License-Identifier: Apache-2.0
#include "kvm/irq_routes.hpp"

#include <poll.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "kvm/recording_kernel.hpp"

namespace vmm::kvm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr MsiMessage kFirst{0xfee0'1000, 0x41};
constexpr MsiMessage kSecond{0xfee0'2000, 0x42};
constexpr auto kSetRoutes = with_size(KVM_SET_GSI_ROUTING, sizeof(ListHeader));

struct IrqRoutesTest : testing::Test {
    IrqRoutesTest() {
        kernel.answers[KVM_CHECK_EXTENSION] = 30;  // 24 pins, 6 vectors
    }

    static std::optional<kvm_irq_routing_msi> format(MsiMessage message) {
        if (message.address >> 20 != 0xfee)
            return std::nullopt;
        kvm_irq_routing_msi route{};
        route.address_lo = static_cast<std::uint32_t>(message.address);
        route.data = message.data;
        return route;
    }

    RecordingKernel kernel;
    Handle vm{UniqueFd{}, kernel};
    IrqRoutes routes{vm, {.pins = {}, .first_msi_gsi = 24, .msi = format}};
};

TEST_F(IrqRoutesTest, AllocationAloneTellsTheKernelNothing) {
    const auto vector = routes.allocate();

    EXPECT_TRUE(vector);
    EXPECT_THAT(kernel.take(), ElementsAre("has 25"));
}

TEST_F(IrqRoutesTest, UnmaskMakesTheRouteBeforeTheIrqfd) {
    const auto vector = routes.allocate();
    kernel.take();

    EXPECT_TRUE((*vector)->unmask(kFirst));

    EXPECT_THAT(kernel.take(), ElementsAre("routes 24->0x0:0xfee01000:0x41", "irqfd 24 on"));
}

TEST_F(IrqRoutesTest, InterruptControllerThatAsksIsToldTheSender) {
    IrqRoutes asked{vm, {.pins = {}, .first_msi_gsi = 24, .with_requester = true, .msi = format}};
    const auto vector = asked.allocate();
    kernel.take();

    EXPECT_TRUE((*vector)->unmask({kFirst.address, kFirst.data, 0x18}));

    EXPECT_THAT(kernel.take(),
                ElementsAre("routes 24->0x0:0xfee01000:0x41 from 0x18", "irqfd 24 on"));
}

TEST_F(IrqRoutesTest, UnmaskAgainWithTheSameMessageCostsNothing) {
    const auto vector = routes.allocate();
    ASSERT_TRUE((*vector)->unmask(kFirst));
    kernel.take();

    EXPECT_TRUE((*vector)->unmask(kFirst));

    EXPECT_THAT(kernel.take(), IsEmpty());
}

TEST_F(IrqRoutesTest, NewMessageReplacesTheRouteUnderTheIrqfd) {
    const auto vector = routes.allocate();
    ASSERT_TRUE((*vector)->unmask(kFirst));
    kernel.take();

    EXPECT_TRUE((*vector)->unmask(kSecond));

    EXPECT_THAT(kernel.take(), ElementsAre("routes 24->0x0:0xfee02000:0x42"));
}

TEST_F(IrqRoutesTest, MaskTakesTheIrqfdAndLeavesTheRoute) {
    const auto vector = routes.allocate();
    ASSERT_TRUE((*vector)->unmask(kFirst));
    kernel.take();

    (*vector)->mask();
    (*vector)->mask();
    const auto masked = kernel.take();
    ASSERT_TRUE((*vector)->unmask(kFirst));

    EXPECT_THAT(masked, ElementsAre("irqfd 24 off"));
    EXPECT_THAT(kernel.take(), ElementsAre("irqfd 24 on"));
}

TEST_F(IrqRoutesTest, RouteOfADeadVectorGoesAfterItsIrqfd) {
    auto dead = routes.allocate();
    const auto alive = routes.allocate();
    ASSERT_TRUE((*dead)->unmask(kFirst));
    kernel.take();

    dead->reset();
    ASSERT_TRUE((*alive)->unmask(kSecond));

    EXPECT_THAT(kernel.take(),
                ElementsAre("irqfd 24 off", "routes 25->0x0:0xfee02000:0x42", "irqfd 25 on"));
}

TEST_F(IrqRoutesTest, GsiOfADeadVectorIsTakenAgain) {
    auto dead = routes.allocate();
    ASSERT_TRUE((*dead)->unmask(kFirst));
    dead->reset();
    kernel.take();

    const auto next = routes.allocate();
    ASSERT_TRUE((*next)->unmask(kFirst));

    EXPECT_THAT(kernel.take(), ElementsAre("routes 24->0x0:0xfee01000:0x41", "irqfd 24 on"));
}

bool has_count(int eventfd) {
    pollfd wait{.fd = eventfd, .events = POLLIN, .revents = 0};
    return ::poll(&wait, 1, 0) == 1;
}

TEST_F(IrqRoutesTest, SignalThatWentNowhereIsNotPendingWhenMasked) {
    const auto vector = routes.allocate();
    ASSERT_TRUE((*vector)->unmask({0x1000, 0x41}));
    (*vector)->signal();

    (*vector)->mask();
    const bool pending = has_count((*vector)->fd());
    (*vector)->signal();

    EXPECT_FALSE(pending);
    EXPECT_TRUE(has_count((*vector)->fd()));
}

TEST_F(IrqRoutesTest, SignalThatWentNowhereIsNotDeliveredByTheNextMessage) {
    const auto vector = routes.allocate();
    ASSERT_TRUE((*vector)->unmask({0x1000, 0x41}));
    (*vector)->signal();

    ASSERT_TRUE((*vector)->unmask(kFirst));

    EXPECT_FALSE(has_count((*vector)->fd()));
}

TEST_F(IrqRoutesTest, MessageThatIsNoInterruptGoesNowhere) {
    const auto vector = routes.allocate();
    ASSERT_TRUE((*vector)->unmask(kFirst));
    kernel.take();

    const auto result = (*vector)->unmask({0x1000, 0x41});

    EXPECT_TRUE(result);
    EXPECT_THAT(kernel.take(), ElementsAre("irqfd 24 off"));
}

TEST_F(IrqRoutesTest, RefusedRouteDoesNotSpoilTheNextTable) {
    const auto bad = routes.allocate();
    const auto good = routes.allocate();
    kernel.answers[kSetRoutes] = -EINVAL;
    const auto refused = (*bad)->unmask(kFirst);
    kernel.answers[kSetRoutes] = 0;
    kernel.take();

    ASSERT_TRUE((*good)->unmask(kSecond));

    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().one_line(), HasSubstr("KVM_SET_GSI_ROUTING"));
    EXPECT_THAT(kernel.take(), ElementsAre("routes 25->0x0:0xfee02000:0x42", "irqfd 25 on"));
}

TEST_F(IrqRoutesTest, RefusedIrqfdIsAnErrorAndCanBeTriedAgain) {
    const auto vector = routes.allocate();
    kernel.answers[KVM_IRQFD] = -EBUSY;
    const auto refused = (*vector)->unmask(kFirst);
    kernel.answers[KVM_IRQFD] = 0;
    kernel.take();

    ASSERT_TRUE((*vector)->unmask(kFirst));

    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().os_error(), EBUSY);
    EXPECT_THAT(kernel.take(), ElementsAre("irqfd 24 on"));
}

TEST_F(IrqRoutesTest, MoreVectorsThanRoutesIsAnErrorWithAdvice) {
    std::vector<Result<std::unique_ptr<MsiVector>>> all;
    for (int i = 0; i < 6; ++i)
        all.push_back(routes.allocate());

    const auto one_more = routes.allocate();

    EXPECT_TRUE(all.back());
    ASSERT_FALSE(one_more);
    EXPECT_THAT(one_more.error().report(), HasSubstr("all 6 interrupt vectors"));
    EXPECT_THAT(one_more.error().advice(), HasSubstr("fewer queues"));
}

TEST_F(IrqRoutesTest, SignalsAreCountedInTheEventfdWhileMasked) {
    const auto vector = routes.allocate();

    (*vector)->signal();
    (*vector)->signal();
    std::uint64_t count = 0;
    const auto got = ::read((*vector)->fd(), &count, sizeof count);

    EXPECT_EQ(got, 8);
    EXPECT_EQ(count, 2U);
}

}  // namespace
}  // namespace vmm::kvm
