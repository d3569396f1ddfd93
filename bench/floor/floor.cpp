// SPDX-License-Identifier: Apache-2.0
// The floor: about the least that a KVM program can do to boot a PVH ELF. The benchmarks divide by
// it.
//
//   floor [--memory MIB] [--cpus N] KERNEL    boots KERNEL, serial port to standard output
//   floor --say TEXT                          writes TEXT and waits: what a process costs without
//   KVM
//
// It does what no VMM can leave out (RAM, interrupt chip, CPUID of the first vCPU, the registers
// that PVH asks for, one write(2) a byte) in the order that is fastest, and nothing else: no checks
// of the guest, no second thread, no devices, no memory map for the guest. Further vCPUs are
// created and never run. Memory slots come before the interrupt chip: with the chip there, each
// slot waits for readers of the kernel's list of buses and slots, some milliseconds.
//
// A program of its own: it shares no code with the VMM, and beside hv/kvm it alone includes
// <linux/kvm.h>. C library only, static: starting a C++ runtime would be part of the measure.
// Spec: Linux Documentation/virt/kvm/api.rst; Xen docs/misc/pvh.pandoc.
#include <elf.h>
#include <fcntl.h>
#include <linux/stddef.h>
// Before Linux 6.5 this macro of the kernel's gave the empty struct it begins with a size in C++:
// sizes, offsets and ioctl numbers of what ends in a variable number of entries came out wrong.
#undef __DECLARE_FLEX_ARRAY
// NOLINTNEXTLINE(bugprone-reserved-identifier, readability-identifier-naming): the kernel's name
#define __DECLARE_FLEX_ARRAY(TYPE, NAME) __extension__ TYPE NAME[0]
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

static_assert(sizeof(kvm_cpuid2) == 8, "the ioctl number has this size in it");

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kHoleStart = 3 << 10;  // MiB; the interrupt controllers live below 4 GiB
constexpr std::uint64_t kHoleEnd = 4 << 10;    // MiB
constexpr std::uint64_t kStartInfoAt = 0x6000;
constexpr std::uint32_t kStartInfoMagic = 0x336ec578;
constexpr std::uint32_t kPhys32Entry = 18;  // XEN_ELFNOTE_PHYS32_ENTRY
constexpr std::uint16_t kCom1 = 0x3f8;
constexpr std::uint8_t kTransmitterEmpty = 0x60;  // 16550A line status: THRE, TEMT
constexpr unsigned kMaxCpuidEntries = 256;
constexpr unsigned kLifeSeconds = 120;  // whoever forgets this process is helped

struct Options {
    std::uint64_t memory_mib = 128;
    unsigned cpus = 1;
    const char* say = nullptr;
    const char* kernel = nullptr;
};

struct Machine {
    int kvm;
    int vm;
    int vcpu;
    std::byte* ram;
    std::uint64_t ram_size;
    kvm_run* run;
};

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "floor: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

[[noreturn]] void fail_usage() {
    std::fputs("usage: floor [--memory MIB] [--cpus N] KERNEL | floor --say TEXT\n", stderr);
    std::exit(2);
}

int must(int result, const char* what) {
    if (result < 0)
        fail(what);
    return result;
}

Options parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const bool has_value = i + 1 < argc;
        if (std::strcmp(argv[i], "--memory") == 0 && has_value)
            options.memory_mib = std::strtoull(argv[++i], nullptr, 10);
        else if (std::strcmp(argv[i], "--cpus") == 0 && has_value)
            options.cpus = static_cast<unsigned>(std::strtoul(argv[++i], nullptr, 10));
        else if (std::strcmp(argv[i], "--say") == 0 && has_value)
            options.say = argv[++i];
        else if (argv[i][0] != '-' && options.kernel == nullptr)
            options.kernel = argv[i];
        else
            fail_usage();
    }
    const bool boots = options.kernel != nullptr && options.memory_mib >= 2 && options.cpus >= 1;
    if (boots == (options.say != nullptr))
        fail_usage();
    return options;
}

void add_slot(int vm, std::uint32_t slot, std::uint64_t gpa, std::byte* host, std::uint64_t size) {
    kvm_userspace_memory_region region{};
    region.slot = slot;
    region.guest_phys_addr = gpa;
    region.memory_size = size;
    region.userspace_addr = reinterpret_cast<std::uintptr_t>(host);
    must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
}

void add_ram(Machine& machine) {
    const std::uint64_t hole_start = kHoleStart * kMiB;
    const std::uint64_t low = machine.ram_size < hole_start ? machine.ram_size : hole_start;
    void* ram = mmap(nullptr, machine.ram_size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ram == MAP_FAILED)
        fail("mapping RAM");
    machine.ram = static_cast<std::byte*>(ram);
    add_slot(machine.vm, 0, 0, machine.ram, low);
    if (machine.ram_size > low)
        add_slot(machine.vm, 1, kHoleEnd * kMiB, machine.ram + low, machine.ram_size - low);
}

void set_cpuid(const Machine& machine) {
    alignas(kvm_cpuid2) static std::byte
        buffer[sizeof(kvm_cpuid2) + kMaxCpuidEntries * sizeof(kvm_cpuid_entry2)];
    auto* cpuid = reinterpret_cast<kvm_cpuid2*>(buffer);
    cpuid->nent = kMaxCpuidEntries;
    must(ioctl(machine.kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
    must(ioctl(machine.vcpu, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
}

Machine make_machine(const Options& options) {
    Machine machine{};
    machine.ram_size = options.memory_mib * kMiB;
    machine.kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "opening /dev/kvm");
    machine.vm = must(ioctl(machine.kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
    add_ram(machine);
    must(ioctl(machine.vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
    machine.vcpu = must(ioctl(machine.vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
    for (unsigned id = 1; id < options.cpus; ++id)
        must(ioctl(machine.vm, KVM_CREATE_VCPU, static_cast<unsigned long>(id)), "KVM_CREATE_VCPU");
    const int run_size =
        must(ioctl(machine.kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
    void* run = mmap(nullptr, static_cast<std::size_t>(run_size), PROT_READ | PROT_WRITE,
                     MAP_SHARED, machine.vcpu, 0);
    if (run == MAP_FAILED)
        fail("mapping kvm_run");
    machine.run = static_cast<kvm_run*>(run);
    set_cpuid(machine);
    return machine;
}

/// The entry that the notes of one PT_NOTE segment name, or 0.
std::uint32_t find_entry(const std::byte* notes, std::uint64_t size) {
    std::uint64_t at = 0;
    while (at + sizeof(Elf64_Nhdr) <= size) {
        Elf64_Nhdr note;
        std::memcpy(&note, notes + at, sizeof note);
        const std::uint64_t name = at + sizeof note;
        const std::uint64_t value = name + ((note.n_namesz + std::uint64_t{3}) & ~std::uint64_t{3});
        std::uint32_t entry = 0;
        if (value + sizeof entry > size)
            return 0;
        if (note.n_type == kPhys32Entry && std::memcmp(notes + name, "Xen", 4) == 0) {
            std::memcpy(&entry, notes + value, sizeof entry);
            return entry;
        }
        at = value + ((note.n_descsz + std::uint64_t{3}) & ~std::uint64_t{3});
    }
    return 0;
}

/// Copies the ELF's segments to their physical addresses; returns the PVH entry.
std::uint32_t load(const Machine& machine, const char* path) {
    const int file = must(open(path, O_RDONLY | O_CLOEXEC), path);
    struct stat status {};
    must(fstat(file, &status), path);
    const auto size = static_cast<std::uint64_t>(status.st_size);
    void* mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
    if (mapped == MAP_FAILED || size < sizeof(Elf64_Ehdr))
        fail(path);
    const auto* image = static_cast<const std::byte*>(mapped);
    const auto* header = static_cast<const Elf64_Ehdr*>(mapped);
    const auto* segments = reinterpret_cast<const Elf64_Phdr*>(image + header->e_phoff);
    std::uint32_t entry = 0;
    for (unsigned i = 0; i < header->e_phnum; ++i) {
        const Elf64_Phdr& segment = segments[i];
        if (segment.p_type == PT_LOAD)
            std::memcpy(machine.ram + segment.p_paddr, image + segment.p_offset, segment.p_filesz);
        if (segment.p_type == PT_NOTE && entry == 0)
            entry = find_entry(image + segment.p_offset, segment.p_filesz);
    }
    return entry;
}

kvm_segment flat(std::uint16_t selector, std::uint8_t type) {
    kvm_segment segment{};
    segment.limit = 0xffffffff;
    segment.selector = selector;
    segment.type = type;
    segment.present = 1;
    segment.db = 1;
    segment.s = 1;
    segment.g = 1;
    return segment;
}

/// Registers as PVH has them: 32-bit protected mode, flat, no paging, ebx = start info.
void enter(const Machine& machine, std::uint32_t entry) {
    const std::uint32_t start_info[2] = {kStartInfoMagic, 1};
    std::memcpy(machine.ram + kStartInfoAt, start_info, sizeof start_info);

    kvm_sregs special{};
    must(ioctl(machine.vcpu, KVM_GET_SREGS, &special), "KVM_GET_SREGS");
    special.cs = flat(0x08, 0xb);
    special.ds = special.es = special.fs = special.gs = special.ss = flat(0x10, 0x3);
    special.tr = flat(0x18, 0xb);
    special.tr.limit = 0x67;
    special.tr.db = special.tr.g = special.tr.s = 0;
    special.cr0 = 0x11;  // ET, PE
    must(ioctl(machine.vcpu, KVM_SET_SREGS, &special), "KVM_SET_SREGS");

    kvm_regs general{};
    general.rip = entry;
    general.rbx = kStartInfoAt;
    general.rflags = 2;
    must(ioctl(machine.vcpu, KVM_SET_REGS, &general), "KVM_SET_REGS");
}

/// Returns only when the guest cannot go on; every port but the serial one reads as "ready".
void run(const Machine& machine) {
    kvm_run& exit = *machine.run;
    for (;;) {
        if (ioctl(machine.vcpu, KVM_RUN, 0) < 0)
            fail("KVM_RUN");
        if (exit.exit_reason != KVM_EXIT_IO)
            return;
        auto* data = reinterpret_cast<std::uint8_t*>(machine.run) + exit.io.data_offset;
        if (exit.io.direction == KVM_EXIT_IO_IN)
            *data = kTransmitterEmpty;
        else if (exit.io.port == kCom1 && write(STDOUT_FILENO, data, 1) < 0)
            fail("writing a byte");
    }
}

int say(const char* text) {
    if (write(STDOUT_FILENO, text, std::strlen(text)) < 0)
        fail("writing");
    pause();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = parse(argc, argv);
    alarm(kLifeSeconds);
    if (options.say != nullptr)
        return say(options.say);

    const Machine machine = make_machine(options);
    const std::uint32_t entry = load(machine, options.kernel);
    if (entry == 0) {
        std::fprintf(stderr, "floor: %s has no PVH entry\n", options.kernel);
        return 2;
    }
    enter(machine, entry);
    run(machine);
    std::fprintf(stderr, "floor: the guest ended with exit reason %u\n", machine.run->exit_reason);
    return 1;
}
