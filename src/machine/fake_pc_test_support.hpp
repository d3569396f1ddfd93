// SPDX-License-Identifier: Apache-2.0
// What tests of whole machines share: a PC on hv/fake with a small payload, whose serial port
// prints into a file.
#pragma once

#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fake/hypervisor.hpp"
#include "machine/devices/device.hpp"
#include "machine/x86_64/pc.hpp"
#include "payload/synthetic_elf.hpp"
#include "vmm/text.hpp"

namespace vmm::machine {

inline constexpr std::uint32_t kEntry = 0x10'0010;
inline constexpr std::uint64_t kKernel = 0x10'0000;
inline constexpr std::uint16_t kCom1 = 0x3f8;
inline constexpr std::uint16_t kExitPort = 0x501;

/// A PCI device that does nothing.
class StubDevice : public QueuelessDevice {
public:
    pci::Endpoint& endpoint() noexcept override { return function; }

protected:
    pci::Function function{{.vendor = 0x1234, .device = 1}};
};

class FakePcTest : public testing::Test {
protected:
    FakePcTest() {
        config.payload.kernel = kernel.path();
        config.memory.size = 64 << 20;
        config.serial.mode = ConsoleMode::File;
        config.serial.file = printed;
        vm->set_supported_cpuid({{.leaf = 0, .eax = 0xd},
                                 {.leaf = 1},
                                 {.leaf = 0x8000'0000, .eax = 0x8000'0008},
                                 {.leaf = 0x8000'0008, .eax = 40 | 48 << 8}});
    }
    ~FakePcTest() override { ::unlink(printed.c_str()); }

    /// Once; it owns `vm` from then on.
    virtual Result<std::unique_ptr<Platform>> make_board() {
        return Pc::create(config, std::make_unique<fake::Hypervisor>(std::move(owned_vm)));
    }
    std::string read_back() const {
        std::ifstream file{printed};
        return {std::istreambuf_iterator<char>{file}, {}};
    }
    static std::vector<fake::Step> print(std::string_view text) {
        std::vector<fake::Step> steps;
        for (const char character : text)
            steps.push_back(fake::out(kCom1, static_cast<unsigned char>(character)));
        return steps;
    }

    test::MemoryFile kernel{test::make_elf(
        {.entry = kKernel,
         .segments =
             {{.offset = 0x1000, .physical = kKernel, .file_size = 0x1000, .memory_size = 0x3000}},
         .pvh_entry = kEntry})};
    std::string printed = cat(testing::TempDir(), "fake_pc.", ::getpid());
    std::unique_ptr<fake::Vm> owned_vm = std::make_unique<fake::Vm>();
    fake::Vm* vm = owned_vm.get();
    VmConfig config;
};

}  // namespace vmm::machine
