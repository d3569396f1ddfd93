// SPDX-License-Identifier: Apache-2.0
//! What a compiler may call without being told to. In assembly: a loop would be turned into a call of itself.

use core::arch::asm;

#[no_mangle]
unsafe extern "C" fn memset(to: *mut u8, value: i32, size: usize) -> *mut u8 {
    asm!("rep stosb", inout("rdi") to => _, inout("rcx") size => _, in("al") value as u8);
    to
}

#[no_mangle]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, size: usize) -> *mut u8 {
    asm!("rep movsb", inout("rdi") to => _, inout("rsi") from => _, inout("rcx") size => _);
    to
}

#[no_mangle]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, size: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= size {
        return memcpy(to, from, size);
    }
    asm!("std", "rep movsb", "cld", inout("rdi") to.wrapping_add(size).wrapping_sub(1) => _,
         inout("rsi") from.wrapping_add(size).wrapping_sub(1) => _, inout("rcx") size => _);
    to
}

/// Negative, zero or positive.
#[no_mangle]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, size: usize) -> i32 {
    let (first, second): (u32, u32);
    asm!("xor {first:e}, {first:e}", "xor {second:e}, {second:e}", "test rcx, rcx", "jz 2f", "repe cmpsb",
         "movzx {first:e}, byte ptr [rdi - 1]", "movzx {second:e}, byte ptr [rsi - 1]", "2:",
         first = out(reg) first, second = out(reg) second,
         inout("rdi") a => _, inout("rsi") b => _, inout("rcx") size => _);
    first as i32 - second as i32
}

#[no_mangle]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, size: usize) -> i32 {
    memcmp(a, b, size)
}
