// SPDX-License-Identifier: Apache-2.0

package main

// There are no I/O ports to ask for.
var forbiddenHere = []uint32{
	264 /* name_to_handle_at */, 265 /* open_by_handle_at */, 268 /* setns */, 272 /* kcmp */, 273, /* finit_module */
	280 /* bpf */, 282, /* userfaultfd */
}
