// SPDX-License-Identifier: Apache-2.0

package main

import "syscall"

var forbiddenHere = []uint32{
	syscall.SYS_IOPERM, syscall.SYS_IOPL, 303 /* name_to_handle_at */, 304, /* open_by_handle_at */
	308 /* setns */, 312 /* kcmp */, 313 /* finit_module */, 321 /* bpf */, 323, /* userfaultfd */
}
