// SPDX-License-Identifier: Apache-2.0

// What the guest sees of its machine.
package main

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func text(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(data))
}

func upText() string {
	var name syscall.Utsname
	_ = syscall.Uname(&name)
	release := ""
	for _, c := range name.Release {
		if c == 0 {
			break
		}
		release += string(rune(c))
	}
	uptime, _, _ := strings.Cut(text("/proc/uptime"), " ")
	return "uptime=" + uptime + " kernel=" + release
}

func cpus(string) (string, error) {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "", err
	}
	count := 0
	for _, line := range strings.Split(string(info), "\n") {
		if strings.HasPrefix(line, "processor") {
			count++
		}
	}
	return fmt.Sprintf("count=%d online=%s present=%s", count, text("/sys/devices/system/cpu/online"),
		text("/sys/devices/system/cpu/present")), nil
}

// online:CPU brings one up that the kernel knows and has left alone (maxcpus=), and says what its APIC id is.
func online(argument string) (string, error) {
	if err := os.WriteFile("/sys/devices/system/cpu/cpu"+argument+"/online", []byte("1"), 0); err != nil {
		return "", err
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "", err
	}
	cpu := ""
	for _, line := range strings.Split(string(info), "\n") {
		name, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); strings.TrimSpace(name) {
		case "processor":
			cpu = value
		case "apicid":
			if cpu == argument {
				return fmt.Sprintf("at=%s apicid=%s", cpu, value), nil
			}
		}
	}
	return "", errors.New("/proc/cpuinfo does not have the CPU")
}

// topology counts how many distinct packages, dies, cores and logical CPUs the kernel made out.
func topology(string) (string, error) {
	folders, err := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*/topology")
	if err != nil || len(folders) == 0 {
		return "", errors.New("no topology in sysfs")
	}
	packages, dies, cores := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, folder := range folders {
		pkg := text(folder + "/physical_package_id")
		packages[pkg] = true
		dies[pkg+"/"+text(folder+"/die_id")] = true
		cores[text(folder+"/core_cpus_list")] = true
	}
	return fmt.Sprintf("packages=%d dies=%d cores=%d threads=%d", len(packages), len(dies), len(cores),
		len(folders)), nil
}

func memory(string) (string, error) {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		return "", err
	}
	defer file.Close()
	for scan := bufio.NewScanner(file); scan.Scan(); {
		if fields := strings.Fields(scan.Text()); len(fields) > 1 && fields[0] == "MemTotal:" {
			return "kib=" + fields[1], nil
		}
	}
	return "", errors.New("no MemTotal in /proc/meminfo")
}

// touch writes a different word into each page of so many MiB and reads all of them back.
func touch(argument string) (string, error) {
	mib, err := strconv.Atoi(argument)
	if err != nil {
		return "", err
	}
	const page = 4096
	area, err := syscall.Mmap(-1, 0, mib<<20, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS)
	if err != nil {
		return "", err
	}
	pattern := func(at int) byte { return byte(at>>12) ^ byte(at>>20) ^ 0x5a }
	for at := 0; at < len(area); at += page {
		area[at], area[at+page-1] = pattern(at), ^pattern(at)
	}
	bad := 0
	for at := 0; at < len(area); at += page {
		if area[at] != pattern(at) || area[at+page-1] != ^pattern(at) {
			bad++
		}
	}
	return fmt.Sprintf("mib=%d bad=%d", mib, bad), syscall.Munmap(area)
}

// clock sleeps a second and says how far the clocks went meanwhile.
func clock(string) (string, error) {
	before, wall := time.Now(), time.Now().Round(0)
	time.Sleep(time.Second)
	slept, moved := time.Since(before), time.Now().Round(0).Sub(wall)
	return fmt.Sprintf("source=%s slept_ms=%d wall_ms=%d",
		text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
		slept.Milliseconds(), moved.Milliseconds()), nil
}

func date(string) (string, error) {
	return fmt.Sprintf("unix=%d rtc=%s", time.Now().Unix(), text("/sys/class/rtc/rtc0/since_epoch")), nil
}

func commandLine(string) (string, error) {
	return text("/proc/cmdline"), nil
}

func file(path string) (string, error) {
	data, err := os.ReadFile("/" + path)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("bytes=%d sha256=%x", len(data), sha256.Sum256(data)), nil
}

// interrupts sums each line of /proc/interrupts over the CPUs; named ones only.
func interrupts(argument string) (string, error) {
	data, err := os.ReadFile("/proc/interrupts")
	if err != nil {
		return "", err
	}
	for _, line := range strings.Split(string(data), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || !strings.Contains(line, argument) {
			continue
		}
		sum, kind := 0, ""
		for _, word := range fields[1:] {
			count, err := strconv.Atoi(word)
			if err != nil {
				kind = word
				break
			}
			sum += count
		}
		return fmt.Sprintf("at=%s line=%s count=%d kind=%s", argument, strings.TrimSuffix(fields[0], ":"), sum, kind), nil
	}
	return "", fmt.Errorf("no line with %q", argument)
}

// kernelMessages counts what the kernel logged at the given level (3: error) or more urgent.
func kernelMessages(argument string) (string, error) {
	limit, err := strconv.Atoi(argument)
	if err != nil {
		return "", err
	}
	log, err := syscall.Open("/dev/kmsg", syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer syscall.Close(log)
	count, record := 0, make([]byte, 8192)
	for {
		size, err := syscall.Read(log, record)
		if err == syscall.EPIPE { // the ring went round meanwhile: the next read starts at its new head
			continue
		}
		if err != nil || size <= 0 {
			return fmt.Sprintf("count=%d", count), nil
		}
		head, message, _ := strings.Cut(string(record[:size]), ";")
		priority, _, _ := strings.Cut(head, ",")
		if level, err := strconv.Atoi(priority); err == nil && level < 8 && level <= limit {
			count++
			line, _, _ := strings.Cut(message, "\n")
			say("kmsgline", fmt.Sprintf("level=%d %s", level, line))
		}
	}
}
