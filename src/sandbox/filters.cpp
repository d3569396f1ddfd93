// SPDX-License-Identifier: Apache-2.0
#include "sandbox/filters.hpp"

#include <array>
#include <cstring>

namespace vmm::sandbox {
namespace {

#include "sandbox/compiled_filters.inc"

template <class... Filters>
constexpr bool fit(const Filters&... filters) {
    return ((filters.size() <= kLongestFilter) && ...);
}
static_assert(fit(kFilterMain, kFilterVcpu, kFilterBlockIo, kFilterNetIo, kFilterEntropyIo,
                  kFilterConsoleIo, kFilterBlockPool, kFilterHelper));

}  // namespace

std::span<const sock_filter> filter_of(ThreadKind kind) noexcept {
    switch (kind) {
        case ThreadKind::Main:
            return kFilterMain;
        case ThreadKind::Vcpu:
            return kFilterVcpu;
        case ThreadKind::BlockIo:
            return kFilterBlockIo;
        case ThreadKind::NetIo:
            return kFilterNetIo;
        case ThreadKind::EntropyIo:
            return kFilterEntropyIo;
        case ThreadKind::ConsoleIo:
            return kFilterConsoleIo;
        case ThreadKind::BlockPool:
            return kFilterBlockPool;
        case ThreadKind::Helper:
            return kFilterHelper;
        case ThreadKind::SetUp:
            break;
    }
    return {};
}

const char* call_name(int number) noexcept {
    if (number < 0 || number > kLastCall)
        return nullptr;
    const char* name = kCallNames;
    for (int i = 0; i < number; ++i)
        name += std::strlen(name) + 1;
    return *name != 0 ? name : nullptr;
}

}  // namespace vmm::sandbox
