# SPDX-License-Identifier: Apache-2.0
# What an exit to a device model costs: blocks of READS_PER_BLOCK reads of the first serial port's
# line status register, and a byte after each, BLOCKS times. exits.py takes the time between bytes.
# Stays in 32-bit ring 0, as PVH enters it: on a KVM without hardware virtualisation an exit from there is
# cheaper and steadier than one from ring 3, so that less is added to what the VMM itself costs.
	.include "pvh.inc"

	.equ READS_PER_BLOCK, 2000	# exits.py knows both numbers
	.equ BLOCKS, 25

	.text
	.code32
	.globl pvh_start
pvh_start:
	cli
	movl $BLOCKS, %ebx
	SAY '|'
1:	movl $READS_PER_BLOCK, %ecx
	movw $COM1_LSR, %dx
2:	inb %dx, %al
	decl %ecx
	jnz 2b
	SAY '|'
	decl %ebx
	jnz 1b
	SAY '.'
3:	pause
	jmp 3b
