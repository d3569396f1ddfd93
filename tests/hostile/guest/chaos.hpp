// SPDX-License-Identifier: Apache-2.0
// Several CPUs that do anything to any device, in an order that only a seed decides.
//
// Unlike the cases nothing is expected of the device: what is judged is the VMM (chaos.py). A start
// of the machine is a generation; the seed of each comes from the host, so that a find can be run
// again.
#pragma once

#include "race.hpp"
#include "virtio.hpp"

namespace guest::chaos {

/// A PCI function, whatever it is; for a virtio device, where its parts are, too.
struct Target {
    Function function;
    Parts parts;
    u16 type = 0;  ///< of a virtio device, else 0
    u32 bars[6] = {};
};

/// What the next place of a queue's ring is, as far as CPUs that race for it can agree.
struct Place {
    u16 size = 0;
    u16 next = 0;
    bool packed = false;
    bool lap = true;
};

inline constexpr unsigned kMostTargets = 16;
inline constexpr unsigned kQueues = 8;  // of a device, that are set up

struct World {
    Target targets[kMostTargets];
    unsigned count = 0;
    Place places[kMostTargets][kQueues];
    Ram ram;
    bool serial = false;  ///< the serial port is part of it
};

/// One thing done to one device, or to a port.
void step(World& world, Random& random);

/// Never comes back: generations follow each other until the host ends the process.
[[noreturn]] void run(const Ram& ram);

}  // namespace guest::chaos
