# SPDX-License-Identifier: Apache-2.0
# Says "Hello from ring 3" on the first serial port. What counts: when 'H' comes (start.py takes the
# time), that all of it comes (the machine works), and what memory the VMM has by then.
	.text
	.code64
	.globl user_main
user_main:
	movl $message, %esi
	movl $0x3f8, %edx
1:	lodsb
	testb %al, %al
	jz 2f
	outb %al, %dx
	jmp 1b
2:	pause				# stays, so that the VMM's memory can be looked at; the benchmark ends it
	jmp 2b

	.section .rodata
message:
	.asciz "ello from ring 3\n"	# the 'H' went out at entry
