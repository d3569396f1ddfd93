// SPDX-License-Identifier: Apache-2.0

// steps runs the steps that the kernel command line names (vmm.test=STEP,STEP,...) and prints one
// line for each: "@test STEP key=value ...". A step may have an argument: STEP:ARGUMENT. After the last
// step, or when there are none, it starts the shell, and when that ends, powers off.
//
// u-root's init starts it, and would start the shell too. But when a first command ends, the kernel hangs up
// the terminal that it led, and the output of what init starts next goes nowhere.
package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"

	"vmm.invalid/guest/wire"
)

// A step does one thing and returns what to print after its name.
type step func(argument string) (string, error)

var steps = map[string]step{
	"addr":        addr,
	"button":      button,
	"capacity":    capacity,
	"carrier":     carrier,
	"churn":       churn,
	"clock":       clock,
	"cmdline":     commandLine,
	"cpus":        cpus,
	"crashkernel": crashKernel,
	"date":        date,
	"dhcp":        dhcp,
	"disk":        disk,
	"disks":       disks,
	"ext4":        ext4,
	"file":        file,
	"fill":        fill,
	"flood":       flood,
	"halt":        halt,
	"hwrng":       hwrng,
	"irqs":        interrupts,
	"kmsg":        kernelMessages,
	"lspci":       lspci,
	"memory":      memory,
	"mkfs":        mkfs,
	"nic":         nic,
	"off":         powerOff,
	"online":      online,
	"panic":       panicNow,
	"partitions":  partitions,
	"pci":         pciDevices,
	"pcicheck":    pciCheck,
	"pin":         pin,
	"ping":        ping,
	"port":        port,
	"pvpanic":     pvpanic,
	"reboot":      reboot,
	"record":      record,
	"repeat":      repeat,
	"serve":       serve,
	"size":        size,
	"sum":         sum,
	"tcpecho":     tcpEcho,
	"tcpget":      transfer(wire.Get),
	"tcpput":      transfer(wire.Put),
	"topology":    topology,
	"touch":       touch,
	"trim":        trim,
	"try":         try,
	"wait":        wait,
}

// The console itself: what init gives us as standard output is a pipe, which the end of the machine cuts off.
var console = os.Stdout

func say(name, text string) {
	fmt.Fprintf(console, "@test %s %s\n", name, text)
}

// run carries out one step, "ask" among them: that reads further steps from the console.
func run(text string) {
	name, argument, _ := strings.Cut(text, ":")
	if name == "ask" || name == "echo" {
		fromConsole(name)
		return
	}
	if name == "together" {
		together(strings.Split(argument, "+"))
		return
	}
	do, known := steps[name]
	if !known {
		say("unknown", "step="+name)
		return
	}
	result, err := do(argument)
	if err != nil {
		say(name, fmt.Sprintf("of=%q failed=%q", argument, err.Error()))
		return
	}
	say(name, result)
}

// together:STEP+STEP+... runs the steps at the same time and waits for all of them.
func together(steps []string) {
	var all sync.WaitGroup
	for _, text := range steps {
		all.Add(1)
		go func() {
			defer all.Done()
			run(text)
		}()
	}
	all.Wait()
}

func parameter(name string) string {
	line, _ := os.ReadFile("/proc/cmdline")
	for _, word := range strings.Fields(string(line)) {
		if value, found := strings.CutPrefix(word, name+"="); found {
			return value
		}
	}
	return ""
}

func main() {
	if device, err := os.OpenFile("/dev/console", os.O_WRONLY|syscall.O_NOCTTY, 0); err == nil {
		console = device
	}
	loadModules()
	if list := parameter("vmm.test"); list != "" {
		say("up", upText())
		for _, text := range strings.Split(list, ",") {
			run(text)
		}
		say("done", "")
	}
	shell()
	_, _ = powerOff("")
}
