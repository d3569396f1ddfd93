// uinit runs the steps that the kernel command line names (vmm.test=STEP,STEP,...) and prints one
// line for each: "@test STEP key=value ...". u-root's init starts it; after the last step, or when
// there are none, it returns and init starts the shell. A step may have an argument: STEP:ARGUMENT.
package main

import (
	"fmt"
	"os"
	"strings"
)

// A step does one thing and returns what to print behind its name.
type step func(argument string) (string, error)

var steps = map[string]step{
	"clock":    clock,
	"cmdline":  commandLine,
	"cpus":     cpus,
	"date":     date,
	"file":     file,
	"halt":     halt,
	"irqs":     interrupts,
	"kmsg":     kernelMessages,
	"memory":   memory,
	"off":      powerOff,
	"panic":    panicNow,
	"pci":      pciDevices,
	"reboot":   reboot,
	"topology": topology,
	"touch":    touch,
	"wait":     wait,
}

func say(name, text string) {
	fmt.Printf("@test %s %s\n", name, text)
}

// run carries out one step, "ask" among them: that reads further steps from the console.
func run(text string) {
	name, argument, _ := strings.Cut(text, ":")
	if name == "ask" || name == "echo" {
		fromConsole(name)
		return
	}
	do, known := steps[name]
	if !known {
		say("unknown", "step="+name)
		return
	}
	result, err := do(argument)
	if err != nil {
		say(name, fmt.Sprintf("failed=%q", err.Error()))
		return
	}
	say(name, result)
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
	list := parameter("vmm.test")
	if list == "" {
		return
	}
	say("up", upText())
	for _, text := range strings.Split(list, ",") {
		run(text)
	}
	say("done", "")
}
