// What our own threads do first.
#pragma once

namespace vmm {

/// Takes the calling thread out of Linux's restartable sequences, which glibc puts every thread
/// into: nothing here uses them, and they cost a write to user memory at each return after a switch
/// of threads. For threads that are switched to and from with each request.
/// Afterwards sched_getcpu() asks the kernel. See rseq(2); glibc manual, "Restartable Sequences".
void leave_restartable_sequences() noexcept;

}  // namespace vmm
