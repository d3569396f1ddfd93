// SPDX-License-Identifier: Apache-2.0

// The console's size and its throughput, and the host's entropy.
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// size:ROWS waits until the console has so many rows, and says how large it is.
func size(argument string) (string, error) {
	rows, err := strconv.Atoi(argument)
	if err != nil {
		return "", err
	}
	var seen [4]uint16 // struct winsize
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, _, failure := syscall.Syscall(syscall.SYS_IOCTL, console.Fd(), syscall.TIOCGWINSZ,
			uintptr(unsafe.Pointer(&seen))); failure != 0 {
			return "", failure
		}
		if int(seen[0]) == rows {
			break
		}
	}
	return fmt.Sprintf("at=%s columns=%d", strconv.Itoa(int(seen[0])), seen[1]), nil
}

// flood:LINES prints so many lines "flood NUMBER ..." and says what their sum is.
func flood(argument string) (string, error) {
	count, err := strconv.Atoi(argument)
	if err != nil {
		return "", err
	}
	digest := sha256.New()
	for i := 0; i < count; i++ {
		line := fmt.Sprintf("flood %d %s\n", i, bytes.Repeat([]byte{byte('a' + i%26)}, i%100))
		digest.Write([]byte(line))
		if _, err := console.WriteString(line); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("lines=%d sha256=%x", count, digest.Sum(nil)), nil
}

// hwrng:BYTES reads from the hardware's generator, twice, and counts how many values a byte takes.
func hwrng(argument string) (string, error) {
	count, err := strconv.Atoi(argument)
	if err != nil {
		return "", err
	}
	file, err := os.Open("/dev/hwrng")
	if err != nil {
		return "", err
	}
	defer file.Close()
	var both [2][]byte
	for i := range both {
		both[i] = make([]byte, count)
		for done := 0; done < count; {
			got, err := file.Read(both[i][done:])
			if err != nil {
				return "", err
			}
			done += got
		}
	}
	if bytes.Equal(both[0], both[1]) {
		return "", errors.New("the same bytes came twice")
	}
	values := map[byte]bool{}
	for _, value := range both[0] {
		values[value] = true
	}
	return fmt.Sprintf("bytes=%d values=%d from=%s", count, len(values),
		text("/sys/class/misc/hw_random/rng_current")), nil
}
