// From the PVH entry (32-bit, no paging) to guest_main() in 64-bit ring 3.
//
// Ring 3, because a KVM without hardware virtualisation runs that at full speed and ring 0 in its
// instruction emulator; with hardware virtualisation there is no difference. guest_main() gets the
// address of hvm_start_info, has the first 5 GiB mapped to themselves, SSE, and every port (I/O
// permission bitmap; IOPL would be lost on the way). There is no IDT: an exception ends the machine.

	.section .note.Xen, "a", @note
	.long 4, 4, 18			// XEN_ELFNOTE_PHYS32_ENTRY
	.ascii "Xen\0"
	.long pvh_start

	.equ CODE64, 0x08
	.equ TASK, 0x10			// takes two entries
	.equ USER_DATA, 0x20 | 3
	.equ USER_CODE, 0x28 | 3
	.equ GIGABYTES, 5

	.text
	.code32
	.globl pvh_start
pvh_start:
	cli
	movl %ebx, start_info
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
	andl $~0x4, %eax		// EM off: SSE
	orl $0x80000003, %eax		// PG, MP, PE
	movl %eax, %cr0
	lgdt gdt_pointer
	ljmp $CODE64, $long_mode

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
	pushq $user_stack_top - 8	// as if called
	pushq $2			// RFLAGS
	pushq $USER_CODE
	pushq $guest_main
	movl start_info, %edi
	iretq

	.data
	.balign 8
gdt:	.quad 0
	.quad 0x00af9b000000ffff	// CODE64
	.word tss_end - tss - 1		// TASK
	.word tss_base_15_0
	.byte tss_base_23_16
	.byte 0x89			// present, available 64-bit TSS
	.byte 0
	.byte tss_base_31_24
	.quad 0
	.quad 0x00cff3000000ffff	// USER_DATA
	.quad 0x00affb000000ffff	// USER_CODE
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt
start_info:
	.long 0

	.balign 4096			// 64-bit TSS: stack of ring 0, and no port is closed
	.globl tss
tss:	.long 0
	.quad kernel_stack_top
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
	.skip 4096
kernel_stack_top:
	.skip 32768
user_stack_top:

	.section .note.GNU-stack, "", @progbits
