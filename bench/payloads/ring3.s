# SPDX-License-Identifier: Apache-2.0
# From the PVH entry (32-bit, no paging) to user_main in 64-bit ring 3, by the shortest way.
#
# Why ring 3: a KVM that has no hardware virtualisation runs ring 3 at full speed and ring 0 in its
# instruction emulator; with hardware virtualisation there is no difference. All tables are laid
# down by the linker, so that what an emulator has to step through is some thirty instructions.
#
# user_main has the first GiB mapped to itself, a stack, SSE, and every port (I/O permission bitmap;
# IOPL would be lost on the way into ring 3). There is no IDT: an exception ends the machine.
# It must not return. The first serial byte, 'H', is out before anything else happens.
	.include "pvh.inc"

	.equ CODE64, 0x08
	.equ TASK, 0x10			# takes two entries
	.equ USER_DATA, 0x20 | 3
	.equ USER_CODE, 0x28 | 3

	.text
	.code32
	.globl pvh_start
pvh_start:
	cli
	SAY 'H'
	cmpl $PVH_MAGIC, (%ebx)
	jne no_start_info

	movl %cr4, %eax
	orl $0x620, %eax		# PAE, OSFXSR, OSXMMEXCPT
	movl %eax, %cr4
	movl $pml4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx		# EFER
	rdmsr
	orl $0x100, %eax		# LME
	wrmsr
	movl %cr0, %eax
	andl $~0x4, %eax		# EM off: SSE
	orl $0x80000003, %eax		# PG, MP, PE
	movl %eax, %cr0
	lgdt gdt_pointer
	ljmp $CODE64, $long_mode

no_start_info:
	SAY '?'
1:	pause
	jmp 1b

	.code64
long_mode:
	xorl %eax, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movw $TASK, %ax
	ltr %ax
	movl $kernel_stack_top, %esp
	pushq $USER_DATA
	pushq $user_stack_top
	pushq $2			# RFLAGS
	pushq $USER_CODE
	pushq $user_main
	iretq

	.data
	.balign 8
gdt:	.quad 0
	.quad 0x00af9b000000ffff	# CODE64
	.word tss_end - tss - 1		# TASK
	.word tss_base_15_0
	.byte tss_base_23_16
	.byte 0x89			# present, available 64-bit TSS
	.byte 0
	.byte tss_base_31_24
	.quad 0
	.quad 0x00cff3000000ffff	# USER_DATA
	.quad 0x00affb000000ffff	# USER_CODE
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt

	.balign 4096
pml4:	.quad pdpt + 7			# present, writable, user
	.balign 4096
pdpt:	.quad pd + 7
	.balign 4096
pd:	.set address, 0
	.rept 512
	.quad address + 0x87		# the same, and 2 MiB large
	.set address, address + 0x200000
	.endr

	.balign 16
	.globl tss
tss:	.long 0
	.quad kernel_stack_top		# RSP0
	.skip 0x66 - 12
	.word io_bitmap - tss
io_bitmap:
	.skip 0x2000			# a zero bit permits the port
	.byte 0xff			# ends the bitmap
tss_end:

	.bss
	.balign 16
	.skip 4096
kernel_stack_top:
	.skip 4096
user_stack_top:
