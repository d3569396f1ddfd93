// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <type_traits>

#include "kvm/x86_64/hypervisor.hpp"
#include "kvm_payload/payload.hpp"
#include "vmm/text.hpp"

extern "C" {
// payload.S
extern const std::byte vmm_payload_entries[];
extern const std::byte vmm_payload_entries_end[];
extern const std::byte vmm_payload_interpreter[];
extern const std::byte vmm_payload_interpreter_end[];
extern const std::byte vmm_payload_start[];
extern const std::byte vmm_payload_start_end[];
extern const std::byte vmm_payload_application_processor[];
extern const std::byte vmm_payload_application_processor_end[];
}

namespace vmm::payload {
namespace {

// Page tables 0x1000 to 0x6fff, then:
constexpr Gpa kTopTable{0x1000};
constexpr Gpa kGdt{0x7000};
constexpr Gpa kIdt{0x8000};
constexpr Gpa kEntries{0x1'0000};
constexpr Gpa kInterpreter{0x1'8000};
constexpr Gpa kStart{0x1'c000};
constexpr std::uint64_t kProgramSize = 0x1'0000;
// For each vCPU, above the programs of eight: task state with I/O bitmap, stack of ring 0, of
// ring 3.
constexpr std::uint64_t kPerVcpu = 0xa'0000;
constexpr std::uint64_t kPerVcpuSize = 0x6000;
constexpr std::uint64_t kRingZeroStackTop = 0x4000;
constexpr std::uint64_t kRingThreeStackTop = 0x6000;
constexpr unsigned kMostVcpus = 8;
static_assert(kProgram.value() + kMostVcpus * kProgramSize <= kPerVcpu);
static_assert(kPerVcpu + kMostVcpus * kPerVcpuSize <= kFree.value());

constexpr std::uint16_t kCode0 = 0x18;  // selectors in the table of write_tables()
constexpr std::uint16_t kData0 = 0x10;
constexpr std::uint16_t kTask = 0x20;
constexpr std::uint16_t kData3 = 0x33;
constexpr std::uint16_t kCode3 = 0x3b;

constexpr std::uint32_t kTaskSize = 0x68 + 0x2000 + 1;  // registers, a bit for each port, the end

std::uint64_t task_state(unsigned vcpu) {
    return kPerVcpu + vcpu * kPerVcpuSize;
}

hv::x86::Segment segment(std::uint16_t selector, std::uint8_t type, std::uint8_t ring) {
    return {.limit = 0xffff'ffff,
            .selector = selector,
            .type = type,
            .dpl = ring,
            .present = true,
            .s = true,
            .g = true};
}

std::span<const std::byte> between(const std::byte* from, const std::byte* to) {
    return {from, to};
}

/// Turns one exit into what it adds to a Trace; says whether the guest goes on.
struct Watch {
    const Machine& machine;
    const Machine::Answer& answer;
    Trace& trace;

    bool ends(std::string why) const {
        trace.ended = std::move(why);
        return false;
    }
    bool note_write(Access::Kind kind, std::uint64_t at, std::span<const std::byte> data) const {
        trace.accesses.push_back({kind, at, {data.begin(), data.end()}});
        return true;
    }
    bool note_read(Access::Kind kind, std::uint64_t at, std::span<std::byte> data) const {
        Access access{kind, at, std::vector<std::byte>(data.size(), std::byte{0xff})};
        if (answer)
            answer(access);
        std::copy_n(access.data.begin(), data.size(), data.begin());
        trace.accesses.push_back(std::move(access));
        return true;
    }

    bool operator()(const hv::exit::PortOut& out) const {
        if (out.port == kEndPort)
            return ends("end");
        if (out.port == kFaultPort)
            return ends(cat("fault ", machine.load<std::uint64_t>(kFault), " at ",
                            Hex{machine.load<std::uint64_t>(Gpa{kFault.value() + 16})}));
        return note_write(Access::Kind::Out, out.port, out.data);
    }
    bool operator()(const hv::exit::PortIn& in) const {
        return note_read(Access::Kind::In, in.port, in.data);
    }
    bool operator()(const hv::exit::MmioWrite& write) const {
        return note_write(Access::Kind::Write, write.at.value(), write.data);
    }
    bool operator()(const hv::exit::MmioRead& read) const {
        return note_read(Access::Kind::Read, read.at.value(), read.data);
    }
    bool operator()(const hv::exit::Interrupted&) const { return ends("interrupted"); }
    bool operator()(const hv::exit::TripleFault&) const { return ends("triple fault"); }
    bool operator()(const hv::exit::Halt&) const { return ends("halt"); }
    bool operator()(const hv::exit::SystemEvent&) const { return ends("system event"); }
    bool operator()(const hv::exit::Failed& failed) const {
        return ends(cat("failed: ", failed.what));
    }
};

}  // namespace

std::uint64_t Access::value() const {
    std::uint64_t number = 0;
    std::memcpy(&number, data.data(), std::min(data.size(), sizeof number));
    return number;
}

std::vector<std::uint64_t> Trace::values(Access::Kind kind) const {
    std::vector<std::uint64_t> all;
    for (const auto& access : accesses)
        if (access.kind == kind)
            all.push_back(access.value());
    return all;
}

std::optional<std::string> Machine::unusable() {
    const auto vm = kvm::create_vm();
    if (vm)
        return std::nullopt;
    return vm.error().one_line();
}

Result<std::unique_ptr<Machine>> Machine::create(const Options& options) {
    void* ram = ::mmap(nullptr, options.ram, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ram == MAP_FAILED)
        return std::unexpected(Error::os("mmap", errno));
    std::unique_ptr<Machine> machine{new Machine{static_cast<std::byte*>(ram), options.ram}};
    VMM_TRY(machine->build(options));
    return machine;
}

Machine::~Machine() {
    vcpus_.clear();
    vm_.reset();
    ::munmap(ram_, ram_size_);
}

Result<> Machine::build(const Options& options) {
    vm_ = VMM_TRY(kvm::create_vm());
    VMM_TRY(vm_->memory_added({.range = {Gpa{0}, ram_size_}, .host = ram_}));
    VMM_TRY(vm_->create_interrupt_controller());
    const auto cpuid = VMM_TRY(vm_->supported_cpuid());
    for (unsigned i = 0; i < std::min(options.vcpus, kMostVcpus); ++i) {
        vcpus_.push_back(VMM_TRY(vm_->create_vcpu(i)));
        VMM_TRY(vcpus_.back()->set_cpuid(cpuid));
    }
    write_tables();
    return {};
}

void Machine::copy(Gpa at, std::span<const std::byte> bytes) {
    std::ranges::copy(bytes, ram_ + at.value());
}

void Machine::write_tables() {
    constexpr std::uint64_t kUserWritablePresent = 7;
    constexpr std::uint64_t kLargePage = 0x80;
    store(kTopTable, kTopTable.value() + 0x1000 + kUserWritablePresent);
    for (std::uint64_t gib = 0; gib < 4; ++gib)
        store(Gpa{kTopTable.value() + 0x1000 + gib * 8},
              kTopTable.value() + 0x2000 + gib * 0x1000 + kUserWritablePresent);
    for (std::uint64_t page = 0; page < 2048; ++page)
        store(Gpa{kTopTable.value() + 0x2000 + page * 8},
              page << 21 | kLargePage | kUserWritablePresent);

    constexpr std::array<std::uint64_t, 8> kDescriptors{
        0,                      // 0x00
        0x00cf'9b00'0000'ffff,  // 0x08 code, 32 bit
        0x00cf'9300'0000'ffff,  // 0x10 data
        0x00af'9b00'0000'ffff,  // 0x18 code, 64 bit
        0,
        0,                      // 0x20 task: each vCPU is given its own, in the hidden part
        0x00cf'f300'0000'ffff,  // 0x30 data, ring 3
        0x00af'fb00'0000'ffff,  // 0x38 code, ring 3
    };
    copy(kGdt, std::as_bytes(std::span{kDescriptors}));

    constexpr std::uint64_t kInterruptGate = 0x8e00ULL << 32;
    for (std::uint64_t vector = 0; vector < 256; ++vector) {
        const auto entry = kEntries.value() + vector * 16;  // below 64 KiB + 4 KiB
        store(Gpa{kIdt.value() + vector * 16}, (entry & 0xffff) | std::uint64_t{kCode0} << 16 |
                                                   kInterruptGate | (entry >> 16) << 48);
        store(Gpa{kIdt.value() + vector * 16 + 8}, std::uint64_t{0});
    }
    copy(kEntries, between(vmm_payload_entries, vmm_payload_entries_end));
    copy(kInterpreter, between(vmm_payload_interpreter, vmm_payload_interpreter_end));
    copy(kStart, between(vmm_payload_start, vmm_payload_start_end));
    copy(kTrampoline,
         between(vmm_payload_application_processor, vmm_payload_application_processor_end));
    for (unsigned i = 0; i < vcpus_.size(); ++i) {
        store(Gpa{task_state(i) + 4}, task_state(i) + kRingZeroStackTop);
        store(Gpa{task_state(i) + 0x66}, std::uint16_t{0x68});
        store(Gpa{task_state(i) + 0x68 + 0x2000}, std::uint8_t{0xff});
    }
}

Result<> Machine::start(const Program& program, unsigned vcpu, bool interrupts) {
    const Gpa at{kProgram.value() + vcpu * kProgramSize};
    copy(at, std::as_bytes(program.operations()));
    return enter(kInterpreter, at.value(), vcpu, interrupts);
}

Result<> Machine::enter(Gpa code, std::uint64_t argument, unsigned vcpu, bool interrupts) {
    const auto stack = task_state(vcpu) + kRingThreeStackTop - 8;  // as after a call
    if (interrupts)
        return enter_at(vcpu,
                        {.rdx = stack,
                         .rsi = code.value(),
                         .rdi = argument,
                         .rsp = task_state(vcpu) + kRingZeroStackTop,
                         .rip = kStart.value()},
                        0);
    return enter_at(vcpu, {.rdi = argument, .rsp = stack, .rip = code.value()}, 3);
}

Result<> Machine::enter_ring_zero(Gpa code, unsigned vcpu) {
    return enter_at(vcpu, {.rsp = task_state(vcpu) + kRingThreeStackTop - 8, .rip = code.value()},
                    0);
}

Result<> Machine::enter_at(unsigned vcpu, const hv::x86::Registers& registers, std::uint8_t ring) {
    hv::x86::SystemRegisters system;
    system.cs = segment(ring == 0 ? kCode0 : kCode3, 11, ring);
    system.cs.l = true;
    system.ds = segment(ring == 0 ? kData0 : kData3, 3, ring);
    system.ds.db = true;
    system.es = system.fs = system.gs = system.ss = system.ds;
    system.tr = {.base = task_state(vcpu),
                 .limit = kTaskSize - 1,
                 .selector = kTask,
                 .type = 11,  // busy
                 .present = true};
    system.gdt = {.base = kGdt.value(), .limit = 0x3f};
    system.idt = {.base = kIdt.value(), .limit = 0xfff};
    system.cr0 = 0x8000'0033;  // PG, NE, ET, MP, PE
    system.cr3 = kTopTable.value();
    system.cr4 = 0x620;   // OSXMMEXCPT, OSFXSR, PAE
    system.efer = 0x500;  // LMA, LME
    VMM_TRY(vcpus_[vcpu]->set_system_registers(system));
    return vcpus_[vcpu]->set_registers(registers);
}

std::uint64_t Machine::result(std::size_t operation, unsigned vcpu) const {
    const auto at = kProgram.value() + vcpu * kProgramSize + operation * sizeof(Program::Operation);
    return load<std::uint64_t>(Gpa{at + offsetof(Program::Operation, result)});
}

Trace Machine::run(unsigned vcpu, const Answer& answer) {
    Trace trace;
    const Watch watch{*this, answer, trace};
    for (;;) {
        const auto exit = vcpus_[vcpu]->run();
        if (!exit) {
            trace.ended = cat("error: ", exit.error().one_line());
            return trace;
        }
        if (!std::visit(watch, *exit))
            return trace;
    }
}

}  // namespace vmm::payload
