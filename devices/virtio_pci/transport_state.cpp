// SPDX-License-Identifier: Apache-2.0
// The transport's state: its function, the registers of the device, which vector is whose.
#include <cstdint>
#include <mutex>
#include <vector>

#include "virtio_pci/transport.hpp"

namespace vmm::virtio_pci {
namespace {

constexpr std::uint16_t kStateVersion = 1;
constexpr std::uint8_t kIsrBits = 3;  // Spec: 4.1.4.5

}  // namespace

void Transport::save(StateWriter& to) {
    const StateWriter::Section section{to, kStateVersion};
    function_.save(to);
    registers_->save(to);
    const std::scoped_lock held{function_.lock()};
    to.put(config_vector_.number);
    for (const Vector& vector : queue_vectors_)
        to.put(vector.number);
    const std::scoped_lock pin{isr_lock_};
    to.put(isr_);
}

// A vector that is not there would read as NO_VECTOR, so no state has one.
std::uint16_t Transport::read_vector(StateReader& from, std::string_view field) const {
    const auto number = from.get<std::uint16_t>(field);
    from.require(number == kNoVector || number < msix_->size(), field,
                 "is not one of this function");
    return number;
}

// The order: registers first, because they clear the vectors; the device starts when all is there,
// and may raise an interrupt at once.
Result<> Transport::restore(StateReader& from) {
    StateReader state = VMM_TRY(from.section("virtio transport", kStateVersion));
    {
        const std::scoped_lock held{function_.lock()};
        ApplyState apply_function = VMM_TRY(function_.read_state(state));
        ApplyState apply_registers = VMM_TRY(registers_->read_state(state));
        const std::uint16_t config_vector = read_vector(state, "vector of the configuration");
        std::vector<std::uint16_t> vectors(queue_vectors_.size());
        for (std::uint16_t& vector : vectors)
            vector = read_vector(state, "vector of a queue");
        const auto isr = state.get<std::uint8_t>("ISR", kIsrBits);
        VMM_TRY(state.done());

        apply_registers();
        apply_function();
        bus_master_ = function_.bus_master();
        msix_on_ = msix_->enabled();
        set_vector(config_vector_, config_vector);
        for (std::size_t i = 0; i < queue_vectors_.size(); ++i)
            set_vector(queue_vectors_[i], vectors[i]);
        tell_calls();
        {
            const std::scoped_lock pin{isr_lock_};
            isr_ = isr;
            drive_intx();
        }
        registers_->start_if_ready();
    }
    place_doorbells();
    return {};
}

// The window's registers are configuration bytes.
Result<ApplyState> Transport::read_registers(StateReader&) {
    return [] noexcept {};
}

}  // namespace vmm::virtio_pci
