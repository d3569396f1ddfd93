// SPDX-License-Identifier: Apache-2.0

// Networks: what the guest sees of its interfaces, addresses, and traffic of which the sums are compared.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"vmm.invalid/guest/wire"
)

func nic(name string) (string, error) {
	folder := "/sys/class/net/" + name
	if _, err := os.Stat(folder); err != nil {
		return "", err
	}
	receive, _ := filepath.Glob(folder + "/queues/rx-*")
	transmit, _ := filepath.Glob(folder + "/queues/tx-*")
	return fmt.Sprintf("at=%s mac=%s mtu=%s rx=%d tx=%d carrier=%s bits=%s", name, text(folder+"/address"),
		text(folder+"/mtu"), len(receive), len(transmit), text(folder+"/carrier"), negotiated(folder+"/device")), nil
}

// A request is struct ifreq: a name and a union.
type request struct {
	name [16]byte
	data [24]byte
}

func (r *request) address(ip net.IP) {
	binary.LittleEndian.PutUint16(r.data[:], syscall.AF_INET)
	copy(r.data[4:8], ip.To4())
}

// addr:NIC:ADDRESS/BITS gives it an address and brings it up.
func addr(argument string) (string, error) {
	name, where, _ := strings.Cut(argument, ":")
	ip, network, err := net.ParseCIDR(where)
	if err != nil {
		return "", err
	}
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return "", err
	}
	defer syscall.Close(socket)
	ask := func(number uintptr, fill func(*request)) error {
		var r request
		copy(r.name[:15], name)
		fill(&r)
		if _, _, failure := syscall.Syscall(syscall.SYS_IOCTL, uintptr(socket), number,
			uintptr(unsafe.Pointer(&r))); failure != 0 {
			return failure
		}
		return nil
	}
	err = errors.Join(
		ask(syscall.SIOCSIFADDR, func(r *request) { r.address(ip) }),
		ask(syscall.SIOCSIFNETMASK, func(r *request) { r.address(net.IP(network.Mask)) }),
		ask(syscall.SIOCSIFFLAGS, func(r *request) { binary.LittleEndian.PutUint16(r.data[:], syscall.IFF_UP) }))
	return "at=" + name + " address=" + where, err
}

// dhcp:NIC asks the network for an address, and says what it got.
func dhcp(name string) (string, error) {
	out, err := exec.Command("dhclient", "-ipv6=false", "-timeout", "15", name).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	device, err := net.InterfaceByName(name)
	if err != nil {
		return "", err
	}
	addresses, err := device.Addrs()
	for _, address := range addresses {
		if found, ok := address.(*net.IPNet); ok && found.IP.To4() != nil {
			return "at=" + name + " address=" + found.String(), nil
		}
	}
	return "", errors.Join(err, errors.New("no address came"))
}

// carrier:NIC:VALUE waits until the link is up (1) or down (0).
func carrier(argument string) (string, error) {
	name, wanted, _ := strings.Cut(argument, ":")
	seen := ""
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if seen = text("/sys/class/net/" + name + "/carrier"); seen == wanted {
			break
		}
	}
	return "at=" + name + " value=" + seen, nil
}

// ping:ADDRESS:COUNT:SIZE sends ICMP echo requests, never in fragments, one after another.
func ping(argument string) (string, error) {
	host, number, err := arguments(argument)
	if err != nil {
		return "", err
	}
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_ICMP)
	if err != nil {
		return "", err
	}
	defer syscall.Close(socket)
	const mtuDiscover, always = 10, 2
	_ = syscall.SetsockoptInt(socket, syscall.IPPROTO_IP, mtuDiscover, always)
	_ = syscall.SetsockoptTimeval(socket, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: 2})
	to := syscall.SockaddrInet4{Addr: [4]byte(net.ParseIP(host).To4())}
	back := int64(0)
	for n := int64(1); n <= number[0]; n++ {
		if err := syscall.Sendto(socket, echoRequest(uint16(n), int(number[1])), 0, &to); err != nil {
			return "", err
		}
		if echoReply(socket, uint16(n), int(number[1])) {
			back++
		}
	}
	return fmt.Sprintf("at=%s sent=%d back=%d bytes=%d", host, number[0], back, number[1]), nil
}

const echoHead, echoName = 8, 0x766d

func echoRequest(n uint16, size int) []byte {
	packet := make([]byte, echoHead+size)
	packet[0] = 8
	binary.BigEndian.PutUint16(packet[4:], echoName)
	binary.BigEndian.PutUint16(packet[6:], n)
	for i := range packet[echoHead:] {
		packet[echoHead+i] = byte(i) ^ byte(n)
	}
	sum := uint32(0)
	for i := 0; i < len(packet); i += 2 {
		sum += uint32(packet[i]) << 8
		if i+1 < len(packet) {
			sum += uint32(packet[i+1])
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(packet[2:], ^uint16(sum))
	return packet
}

// echoReply waits for the reply with that number and looks at each byte of it.
func echoReply(socket int, n uint16, size int) bool {
	packet := make([]byte, 1<<16)
	for {
		got, _, err := syscall.Recvfrom(socket, packet, 0)
		if err != nil {
			return false
		}
		head := int(packet[0]&15) * 4
		if got < head+echoHead || packet[head] != 0 || binary.BigEndian.Uint16(packet[head+4:]) != echoName ||
			binary.BigEndian.Uint16(packet[head+6:]) != n {
			continue
		}
		for i, c := range packet[head+echoHead : got] {
			if c != byte(i)^byte(n) {
				return false
			}
		}
		return got == head+echoHead+size
	}
}

// tcpecho:ADDRESS:PORT
func tcpEcho(address string) (string, error) {
	return "at=" + address, wire.Echo(address, "there and back")
}

// transfer:ADDRESS:PORT:BYTES
func transfer(how func(string, int64) (wire.Moved, error)) step {
	return func(argument string) (string, error) {
		cut := strings.LastIndex(argument, ":")
		if cut < 0 {
			return "", fmt.Errorf("bad argument %q", argument)
		}
		bytes, err := strconv.ParseInt(argument[cut+1:], 10, 64)
		if err != nil {
			return "", err
		}
		began := time.Now()
		moved, err := how(argument[:cut], bytes)
		return fmt.Sprintf("at=%s %s ms=%d", argument[:cut], moved, time.Since(began).Milliseconds()), err
	}
}

// serve:PORT answers from now on.
func serve(port string) (string, error) {
	return "port=" + port, wire.Serve(port, func(line string) { say("served", line) })
}

// pin:CPU keeps all threads of this program on one CPU, and with that its connections on one pair of queues.
func pin(argument string) (string, error) {
	cpu, err := strconv.Atoi(argument)
	if err != nil {
		return "", err
	}
	threads, _ := filepath.Glob("/proc/self/task/*")
	var mask [16]uint64
	if cpu < 0 || cpu >= 64*len(mask) {
		return "", errors.New("no such CPU")
	}
	mask[cpu/64] = 1 << (cpu % 64)
	for _, thread := range threads {
		id, _ := strconv.Atoi(filepath.Base(thread))
		if _, _, failure := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(id), unsafe.Sizeof(mask),
			uintptr(unsafe.Pointer(&mask))); failure != 0 && failure != syscall.ESRCH {
			return "", failure
		}
	}
	return "cpu=" + argument, nil
}
