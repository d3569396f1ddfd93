// What this program can do at all, whatever the host; the host's own limits are checked where they
// are met.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vmm::config {

inline constexpr std::uint32_t kMaxVcpus = 1024;
inline constexpr std::uint64_t kMinMemory = 4ULL << 20;   // bytes
inline constexpr std::uint64_t kMaxMemory = 64ULL << 40;  // half of what a process can map
inline constexpr std::uint64_t kMaxCmdline = 65535;       // bytes; a kernel's own limit is lower
inline constexpr std::uint64_t kMaxName = 64;             // bytes
inline constexpr std::uint64_t kMaxPortName = 64;         // bytes
inline constexpr std::size_t kMaxConsolePorts = 31;
inline constexpr std::uint32_t kMaxQueueSize = 1024;  // descriptors; more than any driver uses
inline constexpr std::uint32_t kMaxDiskQueues = 256;
inline constexpr std::uint32_t kMaxNetQueues = 512;

}  // namespace vmm::config
