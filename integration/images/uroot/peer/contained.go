// SPDX-License-Identifier: Apache-2.0

// What a container's process may not ask the kernel for: what the default profile of Docker and containerd
// (moby/profiles/seccomp) withholds from a process without capabilities, as far as a monitor could want it.
package main

import (
	"runtime"
	"syscall"
	"unsafe"
)

// What package syscall does not have.
const (
	noNewPrivileges = 38 // PR_SET_NO_NEW_PRIVS
	answer          = 0x00050000
	allow           = 0x7fff0000
	namespaces      = 0x7e020000 // CLONE_NEWNS and its like
	clone3          = 435
	pidfdSendSignal = 424 // the first of those that an old runtime does not know
)

// With the numbers that package syscall lacks where these are the same for all; the rest is in forbiddenHere.
var forbidden = []uint32{
	syscall.SYS_ACCT, syscall.SYS_ADD_KEY, syscall.SYS_CLOCK_SETTIME, syscall.SYS_DELETE_MODULE,
	syscall.SYS_GET_MEMPOLICY, syscall.SYS_INIT_MODULE, syscall.SYS_KEXEC_LOAD, syscall.SYS_KEYCTL, syscall.SYS_MBIND, syscall.SYS_MOUNT, syscall.SYS_MOVE_PAGES,
	syscall.SYS_PERF_EVENT_OPEN, syscall.SYS_PIVOT_ROOT, syscall.SYS_QUOTACTL, syscall.SYS_REBOOT,
	syscall.SYS_REQUEST_KEY, syscall.SYS_SET_MEMPOLICY, syscall.SYS_SETTIMEOFDAY, syscall.SYS_SWAPON,
	syscall.SYS_SWAPOFF, syscall.SYS_UMOUNT2, syscall.SYS_UNSHARE,
	425 /* io_uring_setup */, 426 /* io_uring_enter */, 427 /* io_uring_register */, 428 /* open_tree */, 429, /* move_mount */
	430 /* fsopen */, 431 /* fsconfig */, 432 /* fsmount */, 433 /* fspick */, 442, /* mount_setattr */
}

func step(code uint16, value uint32, yes, no uint8) syscall.SockFilter {
	return syscall.SockFilter{Code: code, Jt: yes, Jf: no, K: value}
}

// when lets the next step be taken only where the comparison holds.
func when(comparison uint16, value uint32) syscall.SockFilter {
	return step(syscall.BPF_JMP|comparison|syscall.BPF_K, value, 0, 1)
}

func load(offset uint32) syscall.SockFilter {
	return step(syscall.BPF_LD|syscall.BPF_W|syscall.BPF_ABS, offset, 0, 0)
}

func ret(value uint32) syscall.SockFilter { return step(syscall.BPF_RET|syscall.BPF_K, value, 0, 0) }

// profile reads a seccomp_data: the call's number at 0, the low half of its first argument at 16. The C library asks
// clone3 first, whose flags no filter can see: runtimes answer that there is no such call.
func profile(old bool) []syscall.SockFilter {
	refuse := ret(answer | uint32(syscall.EPERM))
	code := []syscall.SockFilter{load(0), when(syscall.BPF_JEQ, clone3), ret(answer | uint32(syscall.ENOSYS))}
	if old {
		code = append(code, when(syscall.BPF_JGE, pidfdSendSignal), refuse)
	}
	for _, call := range append(forbidden, forbiddenHere...) {
		code = append(code, when(syscall.BPF_JEQ, call), refuse)
	}
	return append(code, step(syscall.BPF_JMP|syscall.BPF_JEQ|syscall.BPF_K, syscall.SYS_CLONE, 0, 3),
		load(16), when(syscall.BPF_JSET, namespaces), refuse, ret(allow))
}

func contained(old bool, command []string) error {
	runtime.LockOSThread() // a filter belongs to a thread, and so does what it executes
	code := profile(old)
	program := syscall.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if _, _, failed := syscall.RawSyscall6(syscall.SYS_PRCTL, noNewPrivileges, 1, 0, 0, 0, 0); failed != 0 {
		return failed
	}
	if _, _, failed := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_SECCOMP, 2,
		uintptr(unsafe.Pointer(&program))); failed != 0 {
		return failed
	}
	return become(command)
}
