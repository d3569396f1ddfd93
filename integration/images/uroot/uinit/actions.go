// What the guest does to its machine.
package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var console = bufio.NewReader(os.Stdin)

// fromConsole says that it is ready and reads a line: "echo" says it back, "ask" runs it as steps,
// until one of them ends the machine or the line is "end".
func fromConsole(name string) {
	for {
		say("ready", "")
		line, err := console.ReadString('\n')
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
	_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, os.Stdout.Fd(), tcsbrk, 1)
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

func wait(milliseconds string) (string, error) {
	count, err := strconv.Atoi(milliseconds)
	if err != nil {
		return "", err
	}
	time.Sleep(time.Duration(count) * time.Millisecond)
	return "ms=" + milliseconds, nil
}
