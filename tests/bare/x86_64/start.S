// SPDX-License-Identifier: Apache-2.0
// From the PVH entry (32-bit, no paging) to guest_main() in 64-bit ring 3.
//
// Ring 3, because a KVM without hardware virtualisation runs that at full speed and ring 0 in its
// instruction emulator; with hardware virtualisation there is no difference. guest_main() gets the
// address of hvm_start_info, has the first 5 GiB mapped to themselves, SSE, and every port (I/O
// permission bitmap; IOPL would be lost on the way). There is no IDT: an exception ends the machine.
//
// Other CPUs start at a copy of the trampoline below 1 MiB and come to other_cpu_main() in the same
// way, each with its number (that of its local APIC) and a stack of its own.

	.section .note.Xen, "a", @note
	.long 4, 4, 18			// XEN_ELFNOTE_PHYS32_ENTRY
	.ascii "Xen\0"
	.long pvh_start

	.equ CODE64, 0x08
	.equ USER_DATA, 0x10 | 3
	.equ USER_CODE, 0x18 | 3
	.equ CODE32, 0x20
	.equ TASK, 0x28			// two entries for each CPU
	.equ CPUS, 4			// cpus.hpp
	.equ GIGABYTES, 5
	.equ STACK_SIZE, 32768
	.equ LOCAL_APIC_ID, 0xfee00020

// From 32 bits without paging to 64 bits; goes on at `next`.
.macro enter_long_mode next
	movl %cr4, %eax
	orl $0x620, %eax		// PAE, OSFXSR, OSXMMEXCPT
	movl %eax, %cr4
	movl $pml4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx		// EFER
	rdmsr
	orl $0x100, %eax		// LME
	wrmsr
	movl %cr0, %eax
	andl $~0x60000004, %eax		// EM off: SSE; CD, NW off, which INIT leaves on
	orl $0x80000003, %eax		// PG, MP, PE
	movl %eax, %cr0
	lgdt gdt_pointer
	ljmp $CODE64, $\next
.endm

// To `main` in ring 3, with RDI as it is. RSP is the end of a stack, which ring 0 has no need of
// again, and RAX the task's selector.
.macro enter_ring_3 main
	ltr %ax
	leaq -8(%rsp), %rdx		// as if called
	pushq $USER_DATA
	pushq %rdx
	pushq $2			// RFLAGS
	pushq $USER_CODE
	pushq $\main
	iretq
.endm

	.text
	.code32
	.globl pvh_start
pvh_start:
	cli
	movl %ebx, start_info
	enter_long_mode first_cpu

	.code64
first_cpu:
	xorl %eax, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $stacks + STACK_SIZE, %esp
	movl start_info, %edi
	movw $TASK, %ax
	enter_ring_3 guest_main

// Where a CPU starts after SIPI: CS:0000 is a page below 1 MiB, so nothing else is within reach.
	.code16
	.globl trampoline, trampoline_end
trampoline:
	cli
	movw %cs, %ax
	movw %ax, %ds
	lgdtl trampoline_gdt_pointer - trampoline
	movl %cr0, %eax
	orl $1, %eax			// PE
	movl %eax, %cr0
	ljmpl $CODE32, $other_cpu_32
trampoline_gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt
trampoline_end:

	.code32
other_cpu_32:
	movw $USER_DATA, %ax
	movw %ax, %ds
	enter_long_mode other_cpu

	.code64
other_cpu:
	xorl %eax, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $LOCAL_APIC_ID, %eax
	movl (%rax), %edi
	shrl $24, %edi
	imull $STACK_SIZE, %edi, %eax
	leaq stacks + STACK_SIZE(%rax), %rsp
	movl %edi, %eax
	shll $4, %eax
	addl $TASK, %eax
	andb $~2, gdt + 5(%rax)		// not busy: this CPU may have been here before
	enter_ring_3 other_cpu_main

	.data
	.balign 8
gdt:	.quad 0
	.quad 0x00af9b000000ffff	// CODE64
	.quad 0x00cff3000000ffff	// USER_DATA
	.quad 0x00affb000000ffff	// USER_CODE
	.quad 0x00cf9b000000ffff	// CODE32
	.rept CPUS			// TASK: the same for all, as nobody comes back to ring 0
	.word tss_end - tss - 1
	.word tss_base_15_0
	.byte tss_base_23_16
	.byte 0x89			// present, available 64-bit TSS
	.byte 0
	.byte tss_base_31_24
	.quad 0
	.endr
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt
start_info:
	.long 0

	.balign 4096			// 64-bit TSS: stack of ring 0, and no port is closed
	.globl tss
tss:	.long 0
	.quad exception_stack_top
	.fill 0x66 - 12, 1, 0
	.word 0x68			// I/O bitmap
	.fill 0x2000, 1, 0
	.byte 0xff
tss_end:

	.balign 4096			// all present, writable, user
pml4:	.quad pdpt + 7
	.fill 511, 8, 0
pdpt:	.equ i, 0
	.rept GIGABYTES
	.quad pages + i * 4096 + 7
	.equ i, i + 1
	.endr
	.fill 512 - GIGABYTES, 8, 0
pages:	.equ i, 0
	.rept GIGABYTES * 512		// 2 MiB each
	.quad i * 0x200000 + 0x87
	.equ i, i + 1
	.endr

	.bss
	.balign 16
	.skip 256			// of no use: there is no IDT
exception_stack_top:
	.balign 16
stacks:	.skip CPUS * STACK_SIZE

	.section .note.GNU-stack, "", @progbits
