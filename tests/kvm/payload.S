// SPDX-License-Identifier: Apache-2.0
// Code that runs inside the guest. Copied into guest RAM from between its labels, so it must not
// care where it lies: relative jumps, no references to other sections.

	.section .rodata.payload, "a"

// Interrupt and exception entries for ring 0, 64 bit: 16 bytes for each vector, then the common
// part. The constants are those of payload.hpp.
	.equ kCounters, 0xe000
	.equ kFault, 0xf000
	.equ kFaultPort, 0xee

	.code64
	.balign 16
	.globl vmm_payload_entries, vmm_payload_entries_end
vmm_payload_entries:
	.equ vector, 0
	.rept 256
	.balign 16
	// Those where the CPU pushes an error code itself.
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
	pushq $0
	.endif
	pushq $vector
	.if vector < 32
	jmp exception
	.else
	jmp interrupt
	.endif
	.equ vector, vector + 1
	.endr

	.balign 16
interrupt:	// counts it and tells the local APIC
	push %rax
	push %rcx
	mov 16(%rsp), %rax
	mov $kCounters, %ecx
	lock incq (%rcx,%rax,8)
	mov $0xfee000b0, %ecx
	movl $0, (%rcx)
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq

exception:	// leaves vector, error code, RIP and CR2 behind, says so, and stops
	mov $kFault, %edi
	pop %rax
	mov %rax, (%rdi)
	pop %rcx
	mov %rcx, 8(%rdi)
	mov (%rsp), %rcx
	mov %rcx, 16(%rdi)
	mov %cr2, %rcx
	mov %rcx, 24(%rdi)
	out %al, $kFaultPort
1:	hlt
	jmp 1b
vmm_payload_entries_end:

// The interpreter of a Program: RDI points to its operations, 40 bytes each:
//   0 code (4 bytes)  4 size of the access (4)  8 address  16 value  24 count  32 result
	.balign 16
	.globl vmm_payload_interpreter, vmm_payload_interpreter_end
vmm_payload_interpreter:
	mov %rdi, %rbp		// the first operation
next:
	mov (%rdi), %eax
	mov 4(%rdi), %ebx
	mov 8(%rdi), %rsi
	mov 16(%rdi), %r8
	lea table(%rip), %r9
	movslq (%r9,%rax,4), %rax
	add %r9, %rax
	jmp *%rax
	.balign 4
table:	.long op_write - table, op_read - table, op_out - table, op_in - table
	.long op_outs - table, op_ins - table, op_wait - table, op_repeat - table
	.long op_undefined - table, op_call - table
advance:
	add $40, %rdi
	jmp next

op_write:
	cmp $1, %ebx
	je 1f
	cmp $2, %ebx
	je 2f
	cmp $4, %ebx
	je 4f
	mov %r8, (%rsi)
	jmp advance
1:	mov %r8b, (%rsi)
	jmp advance
2:	mov %r8w, (%rsi)
	jmp advance
4:	mov %r8d, (%rsi)
	jmp advance

op_read:
	cmp $1, %ebx
	je 1f
	cmp $2, %ebx
	je 2f
	cmp $4, %ebx
	je 4f
	mov (%rsi), %rax
	jmp keep
1:	movzbl (%rsi), %eax
	jmp keep
2:	movzwl (%rsi), %eax
	jmp keep
4:	mov (%rsi), %eax
keep:	mov %rax, 32(%rdi)
	jmp advance

op_out:
	mov %esi, %edx
	mov %r8, %rax
	cmp $1, %ebx
	je 1f
	cmp $2, %ebx
	je 2f
	out %eax, %dx
	jmp advance
1:	out %al, %dx
	jmp advance
2:	out %ax, %dx
	jmp advance

op_in:
	mov %esi, %edx
	xor %eax, %eax
	cmp $1, %ebx
	je 1f
	cmp $2, %ebx
	je 2f
	in %dx, %eax
	jmp keep
1:	in %dx, %al
	jmp keep
2:	in %dx, %ax
	jmp keep

op_outs:
	mov %esi, %edx
	mov %r8, %rsi
	mov 24(%rdi), %rcx
	cld
	cmp $1, %ebx
	je 1f
	cmp $2, %ebx
	je 2f
	rep outsl
	jmp advance
1:	rep outsb
	jmp advance
2:	rep outsw
	jmp advance

op_ins:
	mov %esi, %edx
	mov 24(%rdi), %rcx
	mov %rdi, %r10
	mov %r8, %rdi
	cld
	cmp $1, %ebx
	je 1f
	cmp $2, %ebx
	je 2f
	rep insl
	jmp 3f
1:	rep insb
	jmp 3f
2:	rep insw
3:	mov %r10, %rdi
	jmp advance

op_wait:			// until the 8 bytes at the address are at least the value
	pause
	cmp %r8, (%rsi)
	jb op_wait
	jmp advance

op_repeat:			// back to operation number `address`, `count` times in all; 0 is for ever
	incq 32(%rdi)
	mov 32(%rdi), %rax
	cmp 24(%rdi), %rax
	je advance
	imul $40, %rsi, %rsi
	lea (%rbp,%rsi), %rdi
	jmp next

op_undefined:
	ud2
	jmp advance

op_call:			// a function of the System V ABI
	push %rdi
	push %rbp
	mov %rsi, %rax
	mov %r8, %rdi
	call *%rax
	pop %rbp
	pop %rdi
	jmp keep
vmm_payload_interpreter_end:

// Where a CPU starts whose program runs with interrupts: masks the PICs, whose vectors are those of
// exceptions after a reset, and only then goes to RSI in ring 3, with the stack RDX and RDI as it is.
	.balign 16
	.globl vmm_payload_start, vmm_payload_start_end
vmm_payload_start:
	mov $0xff, %al
	out %al, $0x21
	out %al, $0xa1
	mov $0x33, %eax
	mov %eax, %ds
	mov %eax, %es
	pushq $0x33		// SS
	pushq %rdx
	pushq $0x202		// RFLAGS: interrupts
	pushq $0x3b		// CS
	pushq %rsi
	iretq
vmm_payload_start_end:

// Where another CPU starts after SIPI: says so at a port, then sleeps.
	.code16
	.balign 16
	.globl vmm_payload_application_processor, vmm_payload_application_processor_end
vmm_payload_application_processor:
	mov $'A', %al
	out %al, $0xe9
1:	hlt
	jmp 1b
vmm_payload_application_processor_end:

	.section .note.GNU-stack, "", @progbits
