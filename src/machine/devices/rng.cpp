// SPDX-License-Identifier: Apache-2.0
// The entropy device: what the host's kernel or a file of the host has of chance.
#include "virtio_rng/rng.hpp"

#include <utility>

#include "backends/entropy/entropy_file.hpp"
#include "config/kinds/kinds.hpp"
#include "machine/devices/kinds.hpp"
#include "machine/host_entropy.hpp"
#include "vmm/entropy_source.hpp"

namespace vmm::machine {
namespace {

struct Sources {
    HostEntropy host;
    std::unique_ptr<EntropySource> file;  // null: the host alone
};

Result<MadeDevice> make(const RngConfig& rng, const std::string& id, const DeviceParts& parts) {
    auto sources = std::make_shared<Sources>();
    EntropySource* source = &sources->host;
    if (!rng.src.empty()) {
        sources->file = VMM_TRY(open_entropy_file(rng.src, sources->host));
        source = sources->file.get();
    }
    auto body = VMM_TRY(virtio_rng::Rng::create({.name = id}, *source));
    auto device =
        VMM_TRY(make_virtio_device(std::move(body), rng.packed, parts, std::move(sources)));
    return MadeDevice{std::move(device), {}};
}

}  // namespace

std::vector<NewDevice> rng_devices(const VmConfig& config) {
    std::vector<NewDevice> wanted;
    if (config.rng)
        wanted.push_back({config::kRng.name_of(config, 0),
                          [&config](const std::string& id, const DeviceParts& parts) {
                              return make(*config.rng, id, parts);
                          },
                          config.rng->pci_device_id});
    return wanted;
}

}  // namespace vmm::machine
