// SPDX-License-Identifier: Apache-2.0
// A host that has no room for another thread, for as long as this lives. Not under a sanitizer
// (support/sanitizers.hpp), which needs its address space; and small allocations may fail, too.
#pragma once

#include <pthread.h>
#include <sys/resource.h>

#include <gtest/gtest.h>

#include <cstddef>

namespace vmm::test {

class NoMoreThreads {
public:
    NoMoreThreads() {
        EXPECT_EQ(::pthread_getattr_default_np(&usual_), 0);
        EXPECT_EQ(::getrlimit(RLIMIT_AS, &before_), 0);
        // glibc keeps the stacks of threads that have ended: larger ones are new mappings.
        pthread_attr_t large = usual_;
        std::size_t stack = 0;
        EXPECT_EQ(::pthread_attr_getstacksize(&large, &stack), 0);
        EXPECT_EQ(::pthread_attr_setstacksize(&large, 2 * stack), 0);
        EXPECT_EQ(::pthread_setattr_default_np(&large), 0);
        const rlimit none{.rlim_cur = 1, .rlim_max = before_.rlim_max};
        EXPECT_EQ(::setrlimit(RLIMIT_AS, &none), 0);
    }
    ~NoMoreThreads() {
        EXPECT_EQ(::setrlimit(RLIMIT_AS, &before_), 0);
        EXPECT_EQ(::pthread_setattr_default_np(&usual_), 0);
        ::pthread_attr_destroy(&usual_);
    }
    NoMoreThreads(const NoMoreThreads&) = delete;
    NoMoreThreads& operator=(const NoMoreThreads&) = delete;

private:
    pthread_attr_t usual_{};
    rlimit before_{};
};

}  // namespace vmm::test
