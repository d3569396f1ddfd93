// SPDX-License-Identifier: Apache-2.0
//! The network: who has the host's address (ARP), and an echo request to it (ICMP). The host's kernel answers both.

use crate::machine::Flat;
use crate::step;
use virtio_drivers::device::net::VirtIONetRaw;
use virtio_drivers::transport::pci::PciTransport;

const HOST: [u8; 4] = [10, 77, 0, 1];
const GUEST: [u8; 4] = [10, 77, 0, 2];
const ARP: [u8; 2] = [0x08, 0x06];
const IPV4: [u8; 2] = [0x08, 0x00];
const REPLY: u8 = 2;
const PAYLOAD: usize = 1000;

type Net = VirtIONetRaw<Flat, PciTransport, 16>;

fn ethernet(to: [u8; 6], from: [u8; 6], kind: [u8; 2], frame: &mut [u8]) {
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&from);
    frame[12..14].copy_from_slice(&kind);
}

/// RFC 1071.
fn checksum(data: &[u8]) -> [u8; 2] {
    let mut sum: u32 = data.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!sum as u16).to_be_bytes()
}

/// The next frame for which `wanted` holds: the host's kernel says other things too.
fn receive(net: &mut Net, buffer: &mut [u8], wanted: impl Fn(&[u8]) -> bool) -> (usize, usize) {
    loop {
        let (header, length) = net.receive_wait(buffer).expect("receive");
        if wanted(&buffer[header..header + length]) {
            return (header, length);
        }
    }
}

fn ask_for_address(net: &mut Net, mac: [u8; 6], buffer: &mut [u8]) -> [u8; 6] {
    let mut frame = [0u8; 42];
    ethernet([0xff; 6], mac, ARP, &mut frame);
    frame[14..22].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]); // a request for IPv4 over Ethernet
    frame[22..28].copy_from_slice(&mac);
    frame[28..32].copy_from_slice(&GUEST);
    frame[38..42].copy_from_slice(&HOST);
    net.send(&frame).expect("send");
    let (at, _) = receive(net, buffer, |frame| frame[12..14] == ARP && frame[21] == REPLY && frame[28..32] == HOST);
    buffer[at + 22..at + 28].try_into().unwrap()
}

fn ping(net: &mut Net, mac: [u8; 6], host: [u8; 6], buffer: &mut [u8]) -> usize {
    const LENGTH: usize = 28 + PAYLOAD;
    let mut frame = [0u8; 14 + LENGTH];
    ethernet(host, mac, IPV4, &mut frame);
    let packet = &mut frame[14..];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&(LENGTH as u16).to_be_bytes());
    packet[8] = 64; // hops
    packet[9] = 1; // ICMP
    packet[12..16].copy_from_slice(&GUEST);
    packet[16..20].copy_from_slice(&HOST);
    let sum = checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum);
    packet[20] = 8; // echo request
    packet[28..].iter_mut().enumerate().for_each(|(i, byte)| *byte = i as u8);
    let sum = checksum(&packet[20..]);
    packet[22..24].copy_from_slice(&sum);
    net.send(&frame).expect("send");
    let (at, _) = receive(net, buffer, |frame| frame[12..14] == IPV4 && frame[23] == 1 && frame[34] == 0);
    let echoed = &buffer[at + 42..at + 42 + PAYLOAD];
    echoed.iter().enumerate().filter(|&(i, &byte)| byte == i as u8).count()
}

pub fn talk(transport: PciTransport, round: usize) {
    let mut net = Net::new(transport).expect("net");
    let mac = net.mac_address();
    let mut buffer = [0u8; 2048];
    let host = ask_for_address(&mut net, mac, &mut buffer);
    let echoed = ping(&mut net, mac, host, &mut buffer);
    step!("net round={round} mac={:02x}{:02x} host={} echoed={echoed}", mac[4], mac[5], host != [0; 6]);
}
