// SPDX-License-Identifier: Apache-2.0
#include "kvm/x86_64/state.hpp"

namespace vmm::kvm {
namespace {

kvm_segment to_kvm(const hv::x86::Segment& segment) {
    kvm_segment to{};
    to.base = segment.base;
    to.limit = segment.limit;
    to.selector = segment.selector;
    to.type = segment.type;
    to.present = segment.present;
    to.dpl = segment.dpl;
    to.db = segment.db;
    to.s = segment.s;
    to.l = segment.l;
    to.g = segment.g;
    to.unusable = !segment.present;
    return to;
}

hv::x86::Segment from_kvm(const kvm_segment& segment) {
    return {.base = segment.base,
            .limit = segment.limit,
            .selector = segment.selector,
            .type = segment.type,
            .dpl = segment.dpl,
            .present = segment.present != 0 && segment.unusable == 0,
            .db = segment.db != 0,
            .s = segment.s != 0,
            .l = segment.l != 0,
            .g = segment.g != 0};
}

kvm_dtable to_kvm(const hv::x86::DescriptorTable& table) {
    kvm_dtable to{};
    to.base = table.base;
    to.limit = table.limit;
    return to;
}

}  // namespace

kvm_regs to_kvm(const hv::x86::Registers& registers) {
    kvm_regs to{};
    to.rax = registers.rax;
    to.rbx = registers.rbx;
    to.rcx = registers.rcx;
    to.rdx = registers.rdx;
    to.rsi = registers.rsi;
    to.rdi = registers.rdi;
    to.rsp = registers.rsp;
    to.rbp = registers.rbp;
    to.rip = registers.rip;
    to.rflags = registers.rflags;
    return to;
}

hv::x86::Registers from_kvm(const kvm_regs& registers) {
    return {.rax = registers.rax,
            .rbx = registers.rbx,
            .rcx = registers.rcx,
            .rdx = registers.rdx,
            .rsi = registers.rsi,
            .rdi = registers.rdi,
            .rsp = registers.rsp,
            .rbp = registers.rbp,
            .rip = registers.rip,
            .rflags = registers.rflags};
}

kvm_sregs to_kvm(const hv::x86::SystemRegisters& registers, std::uint64_t apic_base) {
    kvm_sregs to{};
    to.cs = to_kvm(registers.cs);
    to.ds = to_kvm(registers.ds);
    to.es = to_kvm(registers.es);
    to.fs = to_kvm(registers.fs);
    to.gs = to_kvm(registers.gs);
    to.ss = to_kvm(registers.ss);
    to.tr = to_kvm(registers.tr);
    to.ldt = to_kvm(registers.ldt);
    to.gdt = to_kvm(registers.gdt);
    to.idt = to_kvm(registers.idt);
    to.cr0 = registers.cr0;
    to.cr3 = registers.cr3;
    to.cr4 = registers.cr4;
    to.efer = registers.efer;
    to.apic_base = apic_base;
    return to;
}

hv::x86::SystemRegisters from_kvm(const kvm_sregs& registers) {
    return {.cs = from_kvm(registers.cs),
            .ds = from_kvm(registers.ds),
            .es = from_kvm(registers.es),
            .fs = from_kvm(registers.fs),
            .gs = from_kvm(registers.gs),
            .ss = from_kvm(registers.ss),
            .tr = from_kvm(registers.tr),
            .ldt = from_kvm(registers.ldt),
            .gdt = {.base = registers.gdt.base, .limit = registers.gdt.limit},
            .idt = {.base = registers.idt.base, .limit = registers.idt.limit},
            .cr0 = registers.cr0,
            .cr3 = registers.cr3,
            .cr4 = registers.cr4,
            .efer = registers.efer};
}

}  // namespace vmm::kvm
