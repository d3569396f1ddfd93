// SPDX-License-Identifier: Apache-2.0
//! Drives a disk, a network, a console and a source of entropy with drivers that are not Linux's.
//!
//! What differs from Linux: these poll; they write queue addresses with one 64-bit store, do not wait for a reset to end
//! before they go on, take notifications in memory only, and use split rings. Each device is driven twice, so that it is
//! also taken over from a driver that left it. What was seen goes to the serial port, a line each; exit code 40 is good.
#![no_std]
#![no_main]

mod machine;
mod memory;
mod net;

use machine::{finish, Flat};
use virtio_drivers::device::{blk::VirtIOBlk, console::VirtIOConsole, rng::VirtIORng};
use virtio_drivers::transport::pci::bus::{Cam, Command, DeviceFunction, MmioCam, PciRoot};
use virtio_drivers::transport::pci::{virtio_device_type, PciTransport};
use virtio_drivers::transport::DeviceType;

const ECAM: usize = 0xe000_0000;
const ALL_GOOD: u8 = 40;
const ROUNDS: usize = 2;

type Root = PciRoot<MmioCam<'static>>;

fn transport(root: &mut Root, at: DeviceFunction) -> PciTransport {
    root.set_command(at, Command::IO_SPACE | Command::MEMORY_SPACE | Command::BUS_MASTER);
    PciTransport::new::<Flat, _>(root, at).expect("the device is not taken")
}

/// Sector 5 is read, sector 9 written, made stable and read back.
fn disk(transport: PciTransport, round: usize) {
    let mut disk = VirtIOBlk::<Flat, _>::new(transport).expect("blk");
    let mut sector = [0u8; 512];
    disk.read_blocks(5, &mut sector).expect("read");
    let sum: u32 = sector.iter().map(|&byte| u32::from(byte)).sum();
    let pattern: [u8; 512] = core::array::from_fn(|i| (i * 7 + round) as u8);
    disk.write_blocks(9, &pattern).expect("write");
    disk.flush().expect("flush");
    let mut back = [0u8; 512];
    disk.read_blocks(9, &mut back).expect("read back");
    let mut id = [0u8; 20];
    let length = disk.device_id(&mut id).expect("device id");
    let id = core::str::from_utf8(&id[..length]).unwrap_or("?");
    step!("blk round={round} sectors={} ro={} id={id} sum={sum} same={}", disk.capacity(), disk.readonly(), back == pattern);
    let mut large = [0u8; 32 * 512];
    disk.read_blocks(0, &mut large).expect("large read");
    assert!(large[9 * 512..10 * 512] == pattern && large[5 * 512..6 * 512] == sector, "a large read differs");
    let beyond = disk.capacity() as usize;
    step!("beyond round={round} refused={}", disk.read_blocks(beyond, &mut sector).is_err());
}

fn entropy(transport: PciTransport, round: usize) {
    let mut rng = VirtIORng::<Flat, _>::new(transport).expect("rng");
    let (mut first, mut second) = ([0u8; 64], [0u8; 64]);
    let length = rng.request_entropy(&mut first).expect("entropy");
    rng.request_entropy(&mut second).expect("entropy");
    step!("rng round={round} bytes={length} differ={}", first != second);
}

fn console(transport: PciTransport, round: usize) {
    let mut console = VirtIOConsole::<Flat, _>::new(transport).expect("console");
    for byte in b"one byte at a time\n" {
        console.send(*byte).expect("output");
    }
    console.send_bytes(b"a line at once\n").expect("output");
    step!("console round={round}");
}

#[no_mangle]
extern "C" fn guest_main(_start_info: u64) -> ! {
    let mut root = PciRoot::new(unsafe { MmioCam::new(ECAM as *mut u8, Cam::Ecam) });
    for round in 1..=ROUNDS {
        let mut driven = 0;
        // Enumerated by reading; nothing of the bus changes meanwhile.
        for (at, info) in root.enumerate_bus(0) {
            let Some(kind) = virtio_device_type(&info) else { continue };
            let mut of = || transport(&mut root, at);
            match kind {
                DeviceType::Block => disk(of(), round),
                DeviceType::EntropySource => entropy(of(), round),
                DeviceType::Console => console(of(), round),
                DeviceType::Network => net::talk(of(), round),
                _ => continue,
            }
            driven += 1;
        }
        step!("drivers round={round} devices={driven}");
    }
    finish(ALL_GOOD)
}
