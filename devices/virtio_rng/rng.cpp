// SPDX-License-Identifier: Apache-2.0
#include "virtio_rng/rng.hpp"

#include <utility>

#include "virtio_rng/fill.hpp"
#include "vmm/text.hpp"

namespace vmm::virtio_rng {
namespace {

// What is done in one go: about a millisecond of getrandom(2).
constexpr std::uint32_t kBatchBytes = 4 * kMaxBytes;
constexpr unsigned kBatchRequests = 64;

constexpr std::uint16_t kStateVersion = 1;

}  // namespace

Result<std::unique_ptr<Rng>> Rng::create(const RngOptions& options, EntropySource& source) {
    std::unique_ptr<Rng> made{new Rng{options, source}};
    VMM_TRY_OR(made->make_worker(ThreadKind::EntropyIo, cat("io-", options.name), options.stepper),
               options.name);
    return made;
}

Rng::Rng(const RngOptions& options, EntropySource& source)
    : source_{source},
      sizes_{options.queue_size},
      chain_{std::make_unique_for_overwrite<virtio::Chain>()} {}

Rng::~Rng() {
    end_worker();
}

void Rng::kicked(virtio::Queue& queue) noexcept {
    queue.disable_kicks();
    const bool all = serve_batch(queue);
    queue.publish();
    // More of it in the next turn: commands of the register side come in between.
    if (!all || queue.enable_kicks())
        queue.kick();
}

// False if there may be more.
bool Rng::serve_batch(virtio::Queue& queue) noexcept {
    std::uint32_t bytes = 0;
    for (unsigned requests = 0; requests < kBatchRequests && bytes < kBatchBytes; ++requests) {
        if (!queue.pop(*chain_))
            return true;
        const std::uint32_t written = fill(*chain_, queue.memory(), source_);
        queue.complete(chain_->head(), written);
        bytes += written;
    }
    return false;
}

void Rng::save(StateWriter& to) {
    const StateWriter::Section section{to, kStateVersion};
}

Result<> Rng::restore(StateReader& from) {
    return VMM_TRY(from.section("entropy device", kStateVersion)).done();
}

}  // namespace vmm::virtio_rng
