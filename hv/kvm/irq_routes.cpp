// SPDX-License-Identifier: Apache-2.0
#include "kvm/irq_routes.hpp"

#include <algorithm>
#include <utility>

#include "kvm/flex_array.hpp"
#include "vmm/log.hpp"
#include "vmm/text.hpp"

namespace vmm::kvm {

// A KVM_IRQFD must never point at a GSI without a route: on AMD hosts with posted interrupts,
// kernels without the fix a80ced6ea514 crash on it. So unmask() makes the route first, and a route
// goes only after its irqfd. mask() takes the irqfd away and leaves the route, which nothing refers
// to then: guests mask and unmask with the same message all the time, and each change of the table
// sends all of it and waits for the kernel's readers.
class IrqRoutes::Vector final : public MsiVector {
public:
    Vector(IrqRoutes& routes, std::size_t entry, EventFd event)
        : routes_{routes}, entry_{entry}, event_{std::move(event)} {}

    ~Vector() override {
        const std::scoped_lock lock{routes_.mutex_};
        disconnect();
        routes_.entries_[entry_] = {};  // the kernel hears of it with the next change
    }
    Vector(const Vector&) = delete;
    Vector& operator=(const Vector&) = delete;

    Result<> unmask(MsiMessage message) override {
        const std::scoped_lock lock{routes_.mutex_};
        forget_lost();
        if (!routes_.format_.msi(message)) {
            disconnect();
            nowhere_ = true;
            return {};
        }
        VMM_TRY(routes_.route(entry_, message));
        if (connected_)
            return {};
        const int result = routes_.set_irqfd(entry_, event_.fd(), 0);
        if (result < 0)
            return std::unexpected(
                Error::os("KVM_IRQFD", -result)
                    .context(cat("cannot connect the interrupt of GSI ", routes_.gsi_of(entry_))));
        connected_ = true;
        return {};
    }

    void mask() noexcept override {
        const std::scoped_lock lock{routes_.mutex_};
        disconnect();
        forget_lost();
    }

    void signal() noexcept override { event_.signal(); }
    int fd() const noexcept override { return event_.fd(); }

private:
    void disconnect() noexcept {
        if (!std::exchange(connected_, false))
            return;
        if (routes_.set_irqfd(entry_, event_.fd(), KVM_IRQFD_FLAG_DEASSIGN) < 0)
            log::error("KVM_IRQFD deassign failed for GSI ", routes_.gsi_of(entry_));
    }

    // What was signalled while the message went nowhere is gone: it must not turn up as pending.
    void forget_lost() noexcept {
        if (std::exchange(nowhere_, false))
            event_.drain();
    }

    IrqRoutes& routes_;
    const std::size_t entry_;
    EventFd event_;
    bool connected_ = false;
    bool nowhere_ = false;
};

Result<std::unique_ptr<MsiVector>> IrqRoutes::allocate() {
    auto event = VMM_TRY(EventFd::create());
    const std::scoped_lock lock{mutex_};
    auto free = std::ranges::find(entries_, false, &Entry::taken);
    if (free == entries_.end()) {
        if (entries_.size() >= limit())
            return std::unexpected(
                Error{ErrorKind::Unsupported,
                      cat("all ", limit(), " interrupt vectors that KVM routes are taken")}
                    .hint("Use fewer devices, or fewer queues for each."));
        free = entries_.emplace(entries_.end());
    }
    free->taken = true;
    return std::make_unique<Vector>(*this, static_cast<std::size_t>(free - entries_.begin()),
                                    std::move(event));
}

std::size_t IrqRoutes::limit() {
    if (limit_ == 0) {
        // The number of GSIs and of routes; a pin may have two routes (PIC and I/O APIC).
        const int all = vm_.attempt(KVM_CHECK_EXTENSION, KVM_CAP_IRQ_ROUTING);
        const auto fixed = std::max<std::size_t>(format_.pins.size(), format_.first_msi_gsi);
        limit_ = static_cast<std::size_t>(std::max(all, 0));
        limit_ -= std::min(limit_, fixed);
    }
    return limit_;
}

Result<> IrqRoutes::route(std::size_t entry, MsiMessage message) {
    auto& now = entries_[entry].message;
    if (now == message)
        return {};
    const auto before = std::exchange(now, message);
    auto sent = send_table();
    if (!sent)
        now = before;  // else every later change of the table would fail too
    return sent;
}

void IrqRoutes::route_pin(std::uint32_t gsi, std::optional<MsiMessage> message) noexcept {
    const std::scoped_lock lock{mutex_};
    const auto now = pin_messages_.find(gsi);
    if (message ? now != pin_messages_.end() && now->second == *message
                : now == pin_messages_.end())
        return;
    if (message)
        pin_messages_.insert_or_assign(gsi, *message);
    else
        pin_messages_.erase(now);
    if (const auto sent = send_table(); !sent)
        log::error("interrupt pin ", gsi, ": ", sent.error().one_line());
}

Result<> IrqRoutes::send_table() {
    FlexArray<ListHeader, kvm_irq_routing_entry> table{format_.pins.size() + pin_messages_.size() +
                                                       entries_.size()};
    auto next = std::ranges::copy(format_.pins, table.entries().begin()).out;
    const auto add = [&](std::uint32_t gsi, MsiMessage message) {
        const auto msi = format_.msi(message);
        if (!msi)
            return;
        next->gsi = gsi;
        next->type = KVM_IRQ_ROUTING_MSI;
        next->u.msi = *msi;
        if (format_.with_requester) {
            next->flags = KVM_MSI_VALID_DEVID;
            next->u.msi.devid = message.requester;
        }
        ++next;
    };
    for (const auto& [gsi, message] : pin_messages_)
        add(gsi, message);
    for (std::size_t i = 0; i < entries_.size(); ++i)
        if (const auto& message = entries_[i].message)
            add(gsi_of(i), *message);
    table.header()->count = static_cast<std::uint32_t>(next - table.entries().begin());
    VMM_TRY_OR(vm_.call(VMM_REQUEST_SIZED(KVM_SET_GSI_ROUTING, sizeof(ListHeader)), table.header()),
               cat("cannot route ", table.header()->count, " interrupts"));
    return {};
}

int IrqRoutes::set_irqfd(std::size_t entry, int eventfd, std::uint32_t flags) noexcept {
    kvm_irqfd irqfd{};
    irqfd.fd = static_cast<std::uint32_t>(eventfd);
    irqfd.gsi = gsi_of(entry);
    irqfd.flags = flags;
    return vm_.attempt(KVM_IRQFD, &irqfd);
}

}  // namespace vmm::kvm
