// SPDX-License-Identifier: Apache-2.0
// What cases of any machine need, and each architecture does in its own way.
#pragma once

#include "pci.hpp"
#include "race.hpp"

namespace guest {

/// The data of a message to kMessageAddress that nobody has waited for yet; from this function.
u32 fresh_message(const Function& from);
/// It came. Asked by the first CPU.
bool arrived(const Function& from, u32 data);

/// Configuration space of some function: not by ECAM as everybody reads it, if there is another
/// way.
void read_configuration(Random& random);

/// Something done to a device that is not on PCI, which leaves the machine on; to the serial port
/// only if that is allowed.
void use_platform(Random& random, bool serial, u32 value);

/// An access of the kind `name` that no hypervisor can carry out; comes back if there is none.
void run_undecodable(const char* name);

}  // namespace guest
