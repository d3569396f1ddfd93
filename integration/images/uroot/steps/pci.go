// SPDX-License-Identifier: Apache-2.0

// PCI functions as Linux sees them, and whether anything about them is odd.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

func pciDevices(string) (string, error) {
	folders, err := filepath.Glob("/sys/bus/pci/devices/*")
	if err != nil {
		return "", err
	}
	for _, folder := range folders {
		say("pcidev", fmt.Sprintf("at=%s vendor=%s device=%s class=%s", filepath.Base(folder),
			text(folder+"/vendor"), text(folder+"/device"), text(folder+"/class")))
	}
	return fmt.Sprintf("count=%d", len(folders)), nil
}

// A piece is where something lies, from `start` up to `end`, which is not part of it.
type piece struct {
	start, end uint64
	owner      string
}

func overlaps(pieces []piece) (a, b piece, found bool) {
	for i, x := range pieces {
		for _, y := range pieces[:i] {
			if x.start < y.end && y.start < x.end {
				return x, y, true
			}
		}
	}
	return
}

// A function is one PCI function while it is looked at.
type function struct {
	folder, name string
	config       []byte
	bars         [6]piece
	odd          func(format string, values ...any)
}

func (f *function) u8(at int) int     { return int(f.config[at]) }
func (f *function) u16(at int) int    { return int(binary.LittleEndian.Uint16(f.config[at:])) }
func (f *function) u32(at int) uint32 { return binary.LittleEndian.Uint32(f.config[at:]) }

func (f *function) virtio() bool { return f.u16(0) == 0x1af4 && f.u16(2) >= 0x1040 }

// header looks at what every function has (PCI 3.0, 6.1 and 6.2).
func (f *function) header() {
	const statusErrors, hasCapabilities, memoryOn = 0xf900, 1 << 4, 1 << 1
	if f.u16(0) == 0 || f.u16(0) == 0xffff {
		f.odd("vendor %#x", f.u16(0))
	}
	if status := f.u16(6); status&statusErrors != 0 {
		f.odd("status %#x reports errors", status)
	}
	if (f.u16(6)&hasCapabilities != 0) != (f.u8(0x34) != 0) {
		f.odd("status %#x with capability pointer %#x", f.u16(6), f.u8(0x34))
	}
	if f.u8(0x0e)&0x7f != 0 {
		f.odd("header type %#x: this walk knows only type 0", f.u8(0x0e))
	}
	if _, err := os.Stat(f.folder + "/driver"); err != nil && f.virtio() {
		f.odd("no driver")
	} else if err == nil && f.bars[0].end+f.bars[1].end+f.bars[2].end+f.bars[4].end != 0 && f.u16(4)&memoryOn == 0 {
		f.odd("a driver, and memory decoding is off")
	}
	if f.virtio() && (f.u16(0x2c) == 0 || f.u16(0x2c) == 0xffff) {
		f.odd("subsystem vendor %#x", f.u16(0x2c))
	}
	if pin := f.u8(0x3d); pin > 4 {
		f.odd("interrupt pin %d", pin)
	} else if line := text(f.folder + "/irq"); pin != 0 && (line == "0" || line == "255") {
		f.odd("pin %d without a line: irq %s", pin, line)
	}
}

// resources looks at the BARs, in config space and as the kernel took them (linux/ioport.h for the flags).
func (f *function) resources() {
	const unset, disabled, memory = 0x20000000, 0x10000000, 0x200
	lines := strings.Split(text(f.folder+"/resource"), "\n")
	for bar := 0; bar < len(f.bars) && bar < len(lines); bar++ {
		var start, end, flags uint64
		if _, err := fmt.Sscanf(lines[bar], "0x%x 0x%x 0x%x", &start, &end, &flags); err != nil {
			f.odd("resource line %q", lines[bar])
			return
		}
		if flags == 0 {
			continue
		}
		f.bars[bar] = piece{start, end + 1, f.name + " BAR " + strconv.Itoa(bar)}
		size := end - start + 1
		value := uint64(f.u32(0x10 + 4*bar))
		if value&7 == 4 {
			value |= uint64(f.u32(0x14+4*bar)) << 32
		}
		low := uint64(3)
		if flags&memory != 0 {
			low = 15
		}
		switch {
		case flags&(unset|disabled) != 0 || start == 0:
			f.odd("BAR %d is not assigned: %s", bar, lines[bar])
		case size&(size-1) != 0 || start&(size-1) != 0:
			f.odd("BAR %d is not naturally aligned: %s", bar, lines[bar])
		case value&^low != start:
			f.odd("BAR %d holds %#x, the kernel thinks %#x", bar, value&^low, start)
		}
	}
}

// inBar complains about something that does not lie in a BAR of this function.
func (f *function) inBar(what string, bar int, offset, length uint64) piece {
	if bar >= len(f.bars) || f.bars[bar].end == 0 {
		f.odd("%s in BAR %d, which does not exist", what, bar)
		return piece{}
	}
	if size := f.bars[bar].end - f.bars[bar].start; offset+length > size {
		f.odd("%s at %#x with %#x bytes in BAR %d of %#x", what, offset, length, bar, size)
	}
	return piece{f.bars[bar].start + offset, f.bars[bar].start + offset + length, what}
}

// capabilities walks the list; gives back how many there are.
func (f *function) capabilities() int {
	const msix, vendorSpecific = 0x11, 0x09
	seen, types := map[int]bool{}, map[int]bool{}
	var places []piece
	next := f.u8(0x34)
	for next != 0 {
		if next < 0x40 || next&3 != 0 || next+4 > 256 || seen[next] {
			f.odd("capability pointer %#x", next)
			break
		}
		seen[next] = true
		switch f.u8(next) {
		case msix:
			places = append(places, f.msix(next)...)
		case vendorSpecific:
			if f.virtio() {
				places = append(places, f.virtioCapability(next, types)...)
			}
		}
		next = f.u8(next + 1)
	}
	const deviceConfig, entropy = 4, 0x1044 // the entropy device has no configuration of its own
	for kind := 1; kind <= 5 && f.virtio(); kind++ {
		if !types[kind] && (kind != deviceConfig || f.u16(2) != entropy) {
			f.odd("no virtio capability of type %d", kind)
		}
	}
	if a, b, found := overlaps(places); found {
		f.odd("%s and %s share bytes", a.owner, b.owner)
	}
	return len(seen)
}

func (f *function) msix(at int) []piece {
	entries := uint64(f.u16(at+2)&0x7ff) + 1
	table, pending := f.u32(at+4), f.u32(at+8)
	return []piece{
		f.inBar("the MSI-X table", int(table&7), uint64(table&^7), entries*16),
		f.inBar("the pending bits", int(pending&7), uint64(pending&^7), (entries+63)/64*8),
	}
}

// virtioCapability looks at one of virtio 1.3, 4.1.4. There may be several of a type, the best one first.
func (f *function) virtioCapability(at int, types map[int]bool) []piece {
	const accessToConfig = 5
	kind, length := f.u8(at+3), f.u8(at+2)
	if length < 16 || at+length > 256 {
		f.odd("virtio capability of type %d has %d bytes", kind, length)
		return nil
	}
	types[kind] = true
	if kind == accessToConfig {
		return nil
	}
	what := "virtio structure " + strconv.Itoa(kind)
	return []piece{f.inBar(what, f.u8(at+4), uint64(f.u32(at+8)), uint64(f.u32(at+12)))}
}

// extended walks the list of PCI Express, where the kernel found one.
func (f *function) extended() {
	seen := map[int]bool{}
	for next := 0x100; next != 0 && len(f.config) == 4096; {
		if next < 0x100 || next&3 != 0 || next+4 > len(f.config) || seen[next] {
			f.odd("extended capability pointer %#x", next)
			return
		}
		seen[next] = true
		head := f.u32(next)
		if head == 0 || head == 0xffffffff {
			return
		}
		next = int(head >> 20)
	}
}

// pciCheck looks at each function; `odd` must be 0, and a line pciodd says what is not as it should be.
func pciCheck(string) (string, error) {
	folders, err := filepath.Glob("/sys/bus/pci/devices/*")
	if err != nil {
		return "", err
	}
	odd, count := 0, 0
	var bars []piece
	slots := map[string]bool{}
	for _, folder := range folders {
		name := filepath.Base(folder)
		complain := func(format string, values ...any) {
			odd++
			say("pciodd", fmt.Sprintf("at=%s what=%q", name, fmt.Sprintf(format, values...)))
		}
		config, err := os.ReadFile(folder + "/config")
		if err != nil || len(config) < 256 {
			complain("%d bytes of config space: %v", len(config), err)
			continue
		}
		f := function{folder: folder, name: name, config: config, odd: complain}
		f.resources()
		f.header()
		count += f.capabilities()
		f.extended()
		for _, bar := range f.bars {
			if bar.end != 0 {
				bars = append(bars, bar)
			}
		}
		slot, number, _ := strings.Cut(name, ".")
		if number == "0" {
			slots[slot] = f.u8(0x0e)&0x80 != 0
		} else if !slots[slot] {
			complain("function 0 is not there, or does not say that it is one of several")
		}
	}
	if a, b, found := overlaps(bars); found {
		odd++
		say("pciodd", fmt.Sprintf("at=%q what=%q", a.owner, "shares addresses with "+b.owner))
	}
	return fmt.Sprintf("functions=%d bars=%d capabilities=%d odd=%d", len(folders), len(bars), count, odd), nil
}

// What lspci says of a function that is not as it should be. It knows no name for virtio's capability PCI_CFG, whoever
// has it.
var lspciOdd = regexp.MustCompile(`!!!|(?i)denied|unassigned|ignored|virtual\]|bogus|broken|invalid|rev ff|header type|` +
	`error|[<>](TAbort|MAbort|SERR|PERR)\+`)

// lspci lists all functions with the lspci that a scenario brought along, and counts the lines that look odd.
func lspci(string) (string, error) {
	out, err := exec.Command("/sbin/lspci", "-vvn").Output()
	if err != nil {
		return "", err
	}
	functions, odd := 0, 0
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		fmt.Fprintf(console, "lspci: %s\n", line)
		if line != "" && line[0] != '\t' {
			functions++
		}
		if lspciOdd.MatchString(line) {
			odd++
			say("lspciodd", fmt.Sprintf("what=%q", line))
		}
	}
	return fmt.Sprintf("functions=%d odd=%d", functions, odd), nil
}

// pvpanic:VALUE:TIMES writes to the events register of pvpanic's PCI function, which no driver has, and reads it.
func pvpanic(argument string) (string, error) {
	_, number, err := arguments("pvpanic:" + argument)
	if err != nil {
		return "", err
	}
	folders, _ := filepath.Glob("/sys/bus/pci/devices/*")
	for _, folder := range folders {
		if text(folder+"/vendor") != "0x1b36" || text(folder+"/device") != "0x0011" {
			continue
		}
		if err := os.WriteFile(folder+"/enable", []byte("1"), 0); err != nil {
			return "", err
		}
		var start int64
		if _, err := fmt.Sscanf(text(folder+"/resource"), "0x%x", &start); err != nil {
			return "", err
		}
		file, err := os.OpenFile(folder+"/resource0", os.O_RDWR, 0)
		if err != nil {
			return "", err
		}
		defer file.Close()
		page, err := syscall.Mmap(int(file.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
		if err != nil {
			return "", err
		}
		defer func() { _ = syscall.Munmap(page) }()
		registers := page[start&0xfff:]
		for i := int64(0); i < number[1]; i++ {
			registers[0] = byte(number[0])
		}
		return fmt.Sprintf("at=%d times=%d known=%d", number[0], number[1], registers[0]), nil
	}
	return "", errors.New("there is none")
}
