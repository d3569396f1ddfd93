// SPDX-License-Identifier: Apache-2.0
// As much of the interrupt controller (GICv3 with an ITS) as it takes to see that a message came.
// Spec: Arm IHI 0069.
#pragma once

#include "machine.hpp"

namespace guest::its {

inline constexpr u32 kEvents = 256;  // of each function, from 0 on

/// Messages of the function in `slot` with the data `event` reach the first CPU from here on.
void map(unsigned slot, u32 event);
/// Such a message came; asked by the first CPU, with interrupts masked.
bool arrived(unsigned slot, u32 event);
/// Forgets that it came.
void forget(unsigned slot, u32 event);

}  // namespace guest::its
