// SPDX-License-Identifier: Apache-2.0

// Ports of a console that are not terminals.
package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// portDevice is what udev would make /dev/virtio-ports/NAME lead to; the driver hears names one by one.
func portDevice(name string) (string, error) {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, path := range names {
			if text(path) == name {
				return filepath.Base(filepath.Dir(path)), nil
			}
		}
	}
	return "", fmt.Errorf("no port is named %s", name)
}

// port:NAME:TURN+TURN+... speaks over a port. In each turn, "hear" says there that the guest is ready, reads a line,
// prints it and sends it back; another word is written to the port as a line.
func port(argument string) (string, error) {
	name, turns, _ := strings.Cut(argument, ":")
	device, err := portDevice(name)
	if err != nil {
		return "", err
	}
	file, err := os.OpenFile("/dev/"+device, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	lines := bufio.NewReader(file)
	for _, turn := range strings.Split(turns, "+") {
		if turn != "hear" {
			if _, err := fmt.Fprintln(file, turn); err != nil {
				return "", err
			}
			continue
		}
		if _, err := file.WriteString("@test ready\n"); err != nil {
			return "", err
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			return "", err
		}
		say("heard", fmt.Sprintf("at=%s text=%q", name, strings.TrimSuffix(line, "\n")))
		if _, err := file.WriteString("heard " + line); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("at=%s device=%s", name, device), nil
}
