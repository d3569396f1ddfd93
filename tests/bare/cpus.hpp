// SPDX-License-Identifier: Apache-2.0
// The other CPUs: started where they are wanted, and stopped (by INIT, PSCI), so that none of them
// uses time between two cases.
#pragma once

#include "machine.hpp"

namespace guest {

inline constexpr unsigned kMostCpus = 4;  // start.S has as many stacks

/// What another CPU does; `with` is what start() was given.
using Work = void (*)(void* with);

/// CPU 1, 2 or 3: the machine must have it, and its last work must be over.
void start_cpu(unsigned cpu, Work work, void* with);
/// The same once more, wherever it is in that work. On x86_64 it begins again; elsewhere that is
/// refused.
void start_cpu_again(unsigned cpu);
/// Its work is done, and it can be started again; false: it does not come back.
bool stop_cpu(unsigned cpu);

}  // namespace guest
