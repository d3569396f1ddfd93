// SPDX-License-Identifier: Apache-2.0
// Doorbells for tests: remembers who is connected where, and rings them.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <map>
#include <optional>

#include "vmm/doorbell.hpp"

namespace vmm::test {

class FakeDoorbells final : public Doorbells {
public:
    Result<> connect(const DoorbellAddress& address, int eventfd) override {
        if (refuse)
            return std::unexpected(Error{ErrorKind::Os, "no doorbells"});
        if (!connected.emplace(address.at, eventfd).second)
            return std::unexpected(Error{ErrorKind::Os, "doorbell exists"});
        ++connects;
        return {};
    }
    void disconnect(const DoorbellAddress& address, int eventfd) noexcept override {
        const auto found = connected.find(address.at);
        if (found == connected.end() || found->second != eventfd)
            wrong = true;
        else
            connected.erase(found);
    }

    /// A guest write at `at`: true if it rang.
    bool ring(std::uint64_t at) const {
        const auto found = connected.find(at);
        const std::uint64_t one = 1;
        return found != connected.end() && ::write(found->second, &one, sizeof one) == sizeof one;
    }

    std::map<std::uint64_t, int> connected;  ///< eventfds by address
    int connects = 0;
    bool refuse = false;
    bool wrong = false;  ///< something was disconnected that was not connected
};

}  // namespace vmm::test
