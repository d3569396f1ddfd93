// What the tests of disk queues share.
#pragma once

#include <cstddef>

#include "vmm/block_backend.hpp"

namespace vmm::test {

/// Starts what was submitted and waits until so many are done.
inline void finish(BlockQueue& queue, std::size_t count) {
    queue.commit();
    for (std::size_t done = 0; done < count;) {
        if (queue.reap() != nullptr)
            ++done;
        else
            queue.wait();
    }
}

}  // namespace vmm::test
