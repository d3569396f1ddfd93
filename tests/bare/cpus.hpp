// The other CPUs: started where they are wanted, and stopped by INIT, so that none of them uses
// time between two cases.
#pragma once

#include "machine.hpp"

namespace guest {

inline constexpr unsigned kMostCpus = 4;  // start.S has as many stacks

/// What another CPU does; `with` is what start() was given.
using Work = void (*)(void* with);

/// INIT and SIPI to CPU 1, 2 or 3. The machine must have it, and its last work must be over.
void start_cpu(unsigned cpu, Work work, void* with);
/// Its work is done, and it waits for SIPI again; false: it does not come back.
bool stop_cpu(unsigned cpu);

/// Sends `what` to another CPU, by the local APIC of this one.
inline constexpr u32 kInit = 0x4500;
inline constexpr u32 kStart = 0x4600;  ///< | page
void tell_cpu(unsigned cpu, u32 what);

}  // namespace guest
