// SPDX-License-Identifier: Apache-2.0

// Kernel modules of the guest, and what it gets from someone at its power button.
package main

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"syscall"
	"unsafe"
)

// loadModules inserts what a scenario put into /lib/guest, in the order of the names.
func loadModules() {
	paths, _ := filepath.Glob("/lib/guest/*.ko")
	sort.Strings(paths)
	for _, path := range paths {
		if err := insert(path); err != nil {
			say("module", "failed="+filepath.Base(path)+": "+err.Error())
		}
	}
}

// finitModule is a system call that package syscall does not have.
var finitModule = map[string]uintptr{"amd64": 313, "arm64": 273}[runtime.GOARCH]

func insert(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	parameters := []byte{0}
	_, _, failure := syscall.Syscall(finitModule, file.Fd(), uintptr(unsafe.Pointer(&parameters[0])), 0)
	if failure != 0 && failure != syscall.EEXIST {
		return failure
	}
	return nil
}

// button waits until somebody presses the power button (input event EV_KEY, KEY_POWER).
func button(string) (string, error) {
	const keyEvent, keyPower, eventSize = 1, 116, 24
	devices, _ := filepath.Glob("/dev/input/event*")
	if len(devices) == 0 {
		return "", errors.New("no input device: is the module button there?")
	}
	pressed := make(chan string, len(devices))
	for _, path := range devices {
		device, err := os.Open(path)
		if err != nil {
			return "", err
		}
		go func() {
			event := make([]byte, eventSize)
			for {
				if size, err := device.Read(event); err != nil || size != eventSize {
					return
				}
				kind, code := binary.LittleEndian.Uint16(event[16:]), binary.LittleEndian.Uint16(event[18:])
				if kind == keyEvent && code == keyPower && event[20] == 1 {
					pressed <- filepath.Base(path)
				}
			}
		}()
	}
	say("ready", "")
	return "device=" + <-pressed, nil
}
