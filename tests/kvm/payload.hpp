// SPDX-License-Identifier: Apache-2.0
// Guests without a kernel, for tests on the local KVM: a machine that starts in 64-bit mode and
// ring 3, and programs for it that a test writes down access by access.
//
// Ring 3, because a KVM without hardware virtualisation runs nothing else at full speed; with
// hardware it makes no difference. Page tables map the first 4 GiB one to one, for ring 3 too; the
// I/O bitmap of the task state segment opens all ports; interrupts and exceptions go to handlers
// in ring 0, where interrupts are counted by vector.
//
// Guest RAM starts at 0 and is laid out by the constants below; a test may use it from kFree on.
// Threads: as hv::x86; a Machine belongs to one thread but for its vCPUs.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/hv_x86.hpp"

namespace vmm::payload {

inline constexpr Gpa kCounters{0xe000};       ///< interrupts taken, 8 bytes for each vector
inline constexpr Gpa kFault{0xf000};          ///< vector, error code, RIP, CR2 of an exception
inline constexpr Gpa kProgram{0x2'0000};      ///< operations of vCPU 0; 64 KiB for each further one
inline constexpr Gpa kTrampoline{0x9000};     ///< where INIT, SIPI with vector 9 starts a vCPU
inline constexpr Gpa kFree{0x10'0000};        ///< from here on nothing is in use
inline constexpr Gpa kUnbacked{0xd000'0000};  ///< mapped in the page tables, neither RAM nor chip

inline constexpr std::uint16_t kEndPort = 0xf4;    ///< a Program's end()
inline constexpr std::uint16_t kFaultPort = 0xee;  ///< an exception happened
inline constexpr std::uint16_t kApPort = 0xe9;     ///< the code at kTrampoline says 'A'

/// Where the guest finds its interrupt controllers.
inline constexpr Gpa kLocalApic{0xfee0'0000};
inline constexpr Gpa kIoApic{0xfec0'0000};

/// Where the counter of a vector is.
constexpr Gpa counter(std::uint8_t vector) {
    return Gpa{kCounters.value() + vector * 8ULL};
}

/// What a guest does, one access after the other. Each call adds an operation.
class Program {
public:
    struct Operation {
        std::uint32_t code = 0;
        std::uint32_t size = 0;
        std::uint64_t address = 0;
        std::uint64_t value = 0;
        std::uint64_t count = 0;
        std::uint64_t result = 0;
    };
    static_assert(sizeof(Operation) == 40);

    Program& write(Gpa at, std::uint64_t value, AccessSize size = AccessSize::Dword);
    Program& read(Gpa at, AccessSize size = AccessSize::Dword);  ///< gives a result
    Program& out(std::uint16_t port, std::uint64_t value, AccessSize size = AccessSize::Byte);
    Program& in(std::uint16_t port, AccessSize size = AccessSize::Byte);  ///< gives a result
    Program& out_string(std::uint16_t port, Gpa from, std::uint64_t count, AccessSize size);
    Program& in_string(std::uint16_t port, Gpa to, std::uint64_t count, AccessSize size);
    /// Spins until the 8 bytes there are at least the value.
    Program& wait(Gpa at, std::uint64_t value);
    /// Goes back to an operation until it was done `times` in all; 0 means for ever.
    Program& repeat(std::size_t from, std::uint64_t times);
    Program& undefined_instruction();
    /// A function of the System V ABI that the test has put there; gives a result.
    Program& call(Gpa function, std::uint64_t argument);
    /// Writes 0 to kEndPort, for ever.
    Program& end();

    /// The number that the next operation will have; for repeat() and Machine::result().
    std::size_t next() const { return operations_.size(); }

    // What comes up all the time.
    Program& enable_local_apic();
    /// Pin of the I/O APIC to vCPU 0.
    Program& route_pin(unsigned pin, std::uint8_t vector, bool level_triggered = false);

    std::span<const Operation> operations() const { return operations_; }

private:
    Program& add(Operation operation);

    std::vector<Operation> operations_;
};

/// One exit, with a copy of what was written.
struct Access {
    enum class Kind : std::uint8_t { In, Out, Read, Write } kind;
    std::uint64_t at = 0;
    std::vector<std::byte> data;
    friend bool operator==(const Access&, const Access&) = default;

    /// The first 8 bytes as a number.
    std::uint64_t value() const;
};

/// What a guest did until something ended it.
struct Trace {
    std::vector<Access> accesses;
    /// "end", "interrupted", "triple fault", "halt", "fault VECTOR at RIP", "failed: WHY" or
    /// "error: WHY".
    std::string ended;

    std::vector<std::uint64_t> values(Access::Kind kind) const;
};

class Machine {
public:
    struct Options {
        std::size_t ram = std::size_t{4} << 20;  ///< bytes, at least 2 MiB
        unsigned vcpus = 1;
    };

    /// Nothing if this host's KVM can be used; else why not, for GTEST_SKIP().
    static std::optional<std::string> unusable();

    static Result<std::unique_ptr<Machine>> create(const Options& options);
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    ~Machine();

    hv::x86::Vm& vm() { return *vm_; }
    hv::x86::Vcpu& vcpu(unsigned index = 0) { return *vcpus_[index]; }
    std::span<std::byte> ram() { return {ram_, ram_size_}; }

    template <class T>
    T load(Gpa at) const {
        T value;
        std::atomic_signal_fence(std::memory_order_seq_cst);  // the guest may have written it
        std::memcpy(&value, ram_ + at.value(), sizeof value);
        return value;
    }
    template <class T>
    void store(Gpa at, T value) {
        std::memcpy(ram_ + at.value(), &value, sizeof value);
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    void copy(Gpa at, std::span<const std::byte> bytes);

    /// The vCPU will do this next. With interrupts: delivered from the program's first operation
    /// on, and the PICs are masked, whose vectors after a reset are those of exceptions.
    Result<> start(const Program& program, unsigned vcpu = 0, bool interrupts = false);
    /// The same with code of the test's own; `argument` is in RDI, the stack is ready.
    Result<> enter(Gpa code, std::uint64_t argument = 0, unsigned vcpu = 0,
                   bool interrupts = false);
    /// The same in ring 0.
    Result<> enter_ring_zero(Gpa code, unsigned vcpu = 0);

    /// Result of an operation of the program that was started.
    std::uint64_t result(std::size_t operation, unsigned vcpu = 0) const;
    std::uint64_t interrupts(std::uint8_t vector) const {
        return load<std::uint64_t>(counter(vector));
    }

    /// Answers a read by writing into `access.data`; without one, all ones.
    using Answer = std::function<void(Access& access)>;
    /// Runs until the program's end or something else that ends a Trace.
    Trace run(unsigned vcpu = 0, const Answer& answer = {});

private:
    Machine(std::byte* ram, std::size_t ram_size) : ram_{ram}, ram_size_{ram_size} {}

    Result<> build(const Options& options);
    void write_tables();
    Result<> enter_at(unsigned vcpu, const hv::x86::Registers& registers, std::uint8_t ring);

    std::byte* ram_;
    std::size_t ram_size_;
    std::unique_ptr<hv::x86::Vm> vm_;
    std::vector<std::unique_ptr<hv::x86::Vcpu>> vcpus_;
};

}  // namespace vmm::payload
