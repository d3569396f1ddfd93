// SPDX-License-Identifier: Apache-2.0
// What this program can do at all, whatever the host: the one place for it, read by `vmm config
// check` and `vmm run` alike. What the host allows is checked where it is met.
//
// Rooms that have such a number themselves (arch, devices) cannot see this one; src/machine sees
// both and asserts that they are the same.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vmm::config {

inline constexpr std::uint32_t kMaxVcpus = 1024;
inline constexpr std::uint32_t kMaxHostCpu = 8191;  // by number; Linux's own limit is 8192 CPUs
inline constexpr std::uint32_t kMaxThreadsPerCore = 256;
inline constexpr std::uint32_t kMaxDiesPerPackage = 8;
inline constexpr std::uint64_t kMinMemory = 4ULL << 20;   // bytes
inline constexpr std::uint64_t kMaxMemory = 64ULL << 40;  // half of what a process can map
inline constexpr std::uint64_t kMaxCmdline = 65535;       // bytes; a kernel's own limit is lower
inline constexpr std::uint64_t kMaxName = 64;             // bytes
inline constexpr std::uint64_t kMaxPortName = 64;         // bytes
inline constexpr std::size_t kMaxConsolePorts = 31;
inline constexpr std::uint32_t kMaxQueueSize = 1024;  // descriptors; more than any driver uses
inline constexpr std::uint32_t kMaxDiskQueues = 256;
inline constexpr std::uint32_t kMaxDiskRequests = 1 << 16;  // in all queues of a disk; io_uring's
inline constexpr std::uint32_t kMinBlockSize = 512;         // bytes
inline constexpr std::uint32_t kMaxBlockSize = 4096;        // bytes; guests refuse more than a page
inline constexpr std::uint32_t kMaxPhysicalBlockSize = 64 << 10;  // bytes
inline constexpr std::uint32_t kMaxNetQueues = 512;
inline constexpr std::uint64_t kMinMtu = 68;
inline constexpr std::uint64_t kMaxMtu = 65521;         // Linux's, of a tap
inline constexpr std::uint64_t kMaxPasstMtu = 65520;    // passt's own
inline constexpr std::size_t kMaxPciDevices = 248;      // 31 slots of 8 functions
inline constexpr std::uint64_t kLastPciSlot = 31;       // the first is 1
inline constexpr std::uint64_t kMaxStopTimeout = 3600;  // seconds

inline constexpr std::uint32_t kDebugExitSize = 4;  // I/O ports, or bytes of address
/// On any architecture; what a board allows is in config/board.hpp.
inline constexpr std::uint64_t kMaxDebugExit = (1ULL << 30) - kDebugExitSize;

}  // namespace vmm::config
