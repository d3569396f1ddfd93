// SPDX-License-Identifier: Apache-2.0
// From the entry of an ELF kernel (EL1, MMU off) to guest_main(), at EL1 as well.
//
// guest_main() gets the address of the device tree, has the first 16 GiB mapped to themselves, and
// floating point. RAM is cacheable, as exclusive accesses need it. What lies below RAM is normal
// memory too, but not cached: accesses of device memory must be aligned, or they end in the
// processor; these end where nothing is mapped, in the VMM. Each is taken by itself and in order,
// as each is a fault. An exception is told, and ends the machine.
//
// Other CPUs are started by PSCI at other_cpu_start, with their number as the context.

	.equ CPUS, 4			// cpus.hpp
	.equ STACK_BITS, 15
	.equ STACK_SIZE, 1 << STACK_BITS
	.equ GIGABYTES, 16

	.equ ACCESSED, 1 << 10
	.equ INNER_SHAREABLE, 3 << 8
	.equ BLOCK, 1
	.equ UNCACHED, 0 << 2		// attributes of MAIR
	.equ CACHED, 1 << 2
	.equ NO_CODE, 3 << 53
	.equ RAM_BLOCK, ACCESSED | INNER_SHAREABLE | CACHED | BLOCK
	.equ BELOW_RAM, NO_CODE | ACCESSED | INNER_SHAREABLE | UNCACHED | BLOCK

	.equ MAIR, 0xff44		// 1: write-back; 0: not cacheable
	.equ TCR, 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23	// 39 bits, cached tables, no TTBR1
	.equ SCTLR, 0x30d00800 | 1 << 12 | 1 << 2 | 1		// reserved ones; I, C, M
	.equ FLOATING_POINT, 3 << 20

// The number of a CPU is in x19 from here on; clobbers x0 to x2.
.macro enter_c
	adrp x0, vectors
	add x0, x0, :lo12:vectors
	msr vbar_el1, x0
	mov x0, #FLOATING_POINT
	msr cpacr_el1, x0

	ldr x0, =MAIR
	msr mair_el1, x0
	ldr x0, =TCR
	mrs x1, id_aa64mmfr0_el1	// as many bits of address as there are, 48 at most
	and x1, x1, #0xf
	mov x2, #5
	cmp x1, x2
	csel x1, x1, x2, lo
	orr x0, x0, x1, lsl #32
	msr tcr_el1, x0
	adrp x0, table
	msr ttbr0_el1, x0
	isb
	tlbi vmalle1
	ic iallu
	dsb nsh
	isb
	ldr x0, =SCTLR
	msr sctlr_el1, x0
	isb

	msr spsel, #1
	adrp x0, stacks
	add x0, x0, :lo12:stacks
	add x1, x19, #1
	add x0, x0, x1, lsl #STACK_BITS
	mov sp, x0
.endm

	.section .text.start, "ax"
	.globl start
start:
	mov x20, x0
	mov x19, #0
	enter_c
	mov x0, x20
	b guest_main

	.text
	.globl other_cpu_start
other_cpu_start:
	mov x19, x0
	enter_c
	mov x0, x19
	b other_cpu_main

// Any of the 16: nobody comes back, so what registers held does not matter.
	.balign 2048
vectors:
	.rept 16
	.balign 128
	mrs x0, esr_el1
	mrs x1, elr_el1
	mrs x2, far_el1
	b exception
	.endr

	.data
	.balign 4096
table:	.quad BELOW_RAM
	.equ i, 1
	.rept GIGABYTES - 1
	.quad RAM_BLOCK + i * 0x40000000
	.equ i, i + 1
	.endr
	.fill 512 - GIGABYTES, 8, 0

	.bss
	.balign 16
stacks:	.skip CPUS * STACK_SIZE

	.section .note.GNU-stack, "", @progbits
