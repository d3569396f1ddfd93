// SPDX-License-Identifier: Apache-2.0

// What the guest does to its machine.
package main

import (
	"bufio"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

var input = bufio.NewReader(os.Stdin)

// fromConsole says that it is ready and reads a line: "echo" says it back, "ask" runs it as steps,
// until one of them ends the machine or the line is "end".
func fromConsole(name string) {
	for {
		say("ready", "")
		line, err := input.ReadString('\n')
		line = strings.TrimSpace(line)
		if err != nil {
			say(name, "failed="+strconv.Quote(err.Error()))
			return
		}
		if name == "echo" {
			say("echo", "text="+strconv.Quote(line))
			return
		}
		if line == "end" {
			return
		}
		for _, text := range strings.Split(line, ",") {
			run(text)
		}
	}
}

// drain waits until the console has passed on what was printed (tcdrain): the kernel ends the machine
// with it still in the port's buffer otherwise.
func drain() {
	const tcsbrk = 0x5409
	_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, console.Fd(), tcsbrk, 1)
}

// last says what is to come and ends the machine.
func last(name string, command int) (string, error) {
	say(name, "")
	drain()
	syscall.Sync()
	return "", syscall.Reboot(command)
}

func powerOff(string) (string, error) {
	return last("off", syscall.LINUX_REBOOT_CMD_POWER_OFF)
}

func reboot(string) (string, error) {
	return last("reboot", syscall.LINUX_REBOOT_CMD_RESTART)
}

func halt(string) (string, error) {
	return last("halt", syscall.LINUX_REBOOT_CMD_HALT)
}

func panicNow(string) (string, error) {
	say("panic", "")
	drain()
	return "", os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
}

// crashKernel loads /boot/vmlinuz and /boot/initrd as what a panic goes on with (kexec -p). The argument are its
// steps, with "+" between them.
func crashKernel(steps string) (string, error) {
	kernel, err := os.Open("/boot/vmlinuz")
	if err != nil {
		return "", err
	}
	defer kernel.Close()
	initrd, err := os.Open("/boot/initrd")
	if err != nil {
		return "", err
	}
	defer initrd.Close()
	const kexecFileLoad, onCrash = 320, 2
	line, err := syscall.ByteSliceFromString("console=ttyS0 quiet panic=-1 vmm.test=" + strings.ReplaceAll(steps, "+", ","))
	if err != nil {
		return "", err
	}
	if _, _, failed := syscall.Syscall6(kexecFileLoad, kernel.Fd(), initrd.Fd(), uintptr(len(line)),
		uintptr(unsafe.Pointer(&line[0])), onCrash, 0); failed != 0 {
		return "", failed
	}
	return "loaded=" + text("/sys/kernel/kexec_crash_loaded"), nil
}

// shell runs a shell on the console until it ends. Ctrl-C is for what runs in it.
func shell() {
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	command := exec.Command("/bin/sh")
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, console, console
	if err := command.Run(); err != nil {
		say("shell", "failed="+strconv.Quote(err.Error()))
	}
}

func wait(milliseconds string) (string, error) {
	count, err := strconv.Atoi(milliseconds)
	if err != nil {
		return "", err
	}
	time.Sleep(time.Duration(count) * time.Millisecond)
	return "ms=" + milliseconds, nil
}
