// SPDX-License-Identifier: Apache-2.0
//! The bare machine: ports, the serial port, memory for devices, the end.

use core::alloc::{GlobalAlloc, Layout};
use core::arch::{asm, global_asm};
use core::fmt::{self, Write};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use virtio_drivers::{BufferDirection, Hal, PhysAddr, PAGE_SIZE};

// From the PVH entry to guest_main() in ring 3, shared with the guests in C++.
global_asm!(include_str!("../../../../tests/bare/x86_64/start.S"), options(att_syntax));

const COM1: u16 = 0x3f8;
const DEBUG_EXIT: u16 = 0xf4;

fn out8(port: u16, value: u8) {
    unsafe { asm!("out dx, al", in("dx") port, in("al") value) }
}

/// Text on the serial port.
pub struct Serial;

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| out8(COM1, byte));
        Ok(())
    }
}

/// A line in the form of a guest's step: integration/images/uroot/steps.
#[macro_export]
macro_rules! step {
    ($($words:tt)*) => {{
        use core::fmt::Write;
        let _ = writeln!($crate::machine::Serial, "@test {}", format_args!($($words)*));
    }};
}

/// Ends the VMM with this exit code.
pub fn finish(code: u8) -> ! {
    loop {
        out8(DEBUG_EXIT, code);
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    let _ = writeln!(Serial, "@test drivers failed=\"{info}\"");
    finish(41)
}

/// The machine has one CPU that is used; start.S wants a place for the others.
#[no_mangle]
extern "C" fn other_cpu_main(_number: u64) -> ! {
    finish(42)
}

/// Takes from the pages that devices get, too, and gives nothing back.
struct Bump;

unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size().div_ceil(PAGE_SIZE))
    }
    unsafe fn dealloc(&self, _at: *mut u8, _layout: Layout) {}
}

#[global_allocator]
static HEAP: Bump = Bump;

const DMA_PAGES: usize = 512;

#[repr(C, align(4096))]
struct Pages([u8; DMA_PAGES * PAGE_SIZE]);
static mut PAGES: Pages = Pages([0; DMA_PAGES * PAGE_SIZE]);
static TAKEN: AtomicUsize = AtomicUsize::new(0);

fn take(pages: usize) -> *mut u8 {
    let first = TAKEN.fetch_add(pages, Ordering::Relaxed);
    assert!(first + pages <= DMA_PAGES, "no memory is left");
    unsafe { (&raw mut PAGES).cast::<u8>().add(first * PAGE_SIZE) }
}

/// Memory is mapped to itself, and never given back: the guest is short-lived.
pub struct Flat;

unsafe impl Hal for Flat {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let at = take(pages);
        (at as PhysAddr, NonNull::new(at).unwrap())
    }

    unsafe fn dma_dealloc(_paddr: PhysAddr, _vaddr: NonNull<u8>, _pages: usize) -> i32 {
        0
    }

    unsafe fn mmio_phys_to_virt(paddr: PhysAddr, _size: usize) -> NonNull<u8> {
        NonNull::new(paddr as *mut u8).unwrap()
    }

    unsafe fn share(buffer: NonNull<[u8]>, _direction: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr() as PhysAddr
    }

    unsafe fn unshare(_paddr: PhysAddr, _buffer: NonNull<[u8]>, _direction: BufferDirection) {}
}
