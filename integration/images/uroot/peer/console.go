// SPDX-License-Identifier: Apache-2.0

// The other end of a guest's console: a socket, or a terminal.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
	"unsafe"
)

var ready = []byte("@test ready")

// converse passes on what comes until it ends. Each time the guest is ready, the next action is due.
func converse(from io.Reader, actions ...func() error) error {
	var seen []byte
	buffer := make([]byte, 4096)
	for {
		got, err := from.Read(buffer)
		_, _ = os.Stdout.Write(buffer[:got])
		seen = append(seen, buffer[:got]...)
		for len(actions) > 0 {
			_, after, found := bytes.Cut(seen, ready)
			if !found {
				seen = seen[max(0, len(seen)-len(ready)):] // its end may be the start of the next
				break
			}
			seen = after
			if err := actions[0](); err != nil {
				return err
			}
			actions = actions[1:]
		}
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.EIO) { // EIO: nobody has the terminal open any more
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func typing(to io.Writer, line string) func() error {
	return func() error {
		_, err := io.WriteString(to, line+"\n")
		return err
	}
}

// unix waits for the socket to be there.
func unix(path string, lines []string) error {
	var connection net.Conn
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if connection, err = net.Dial("unix", path); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	return typeEach(connection, lines)
}

// typeEach types a line each time the guest is ready.
func typeEach(other io.ReadWriter, lines []string) error {
	var actions []func() error
	for _, line := range lines {
		actions = append(actions, typing(other, line))
	}
	return converse(other, actions...)
}

func device(path string, lines []string) error {
	file, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	return typeEach(file, lines)
}

func ioctl(file *os.File, request uintptr, argument unsafe.Pointer) error {
	if _, _, failure := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), request, uintptr(argument)); failure != 0 {
		return failure
	}
	return nil
}

// resize sets the size that a text like 30x100 names.
func resize(master *os.File, text string) error {
	var size [4]uint16 // struct winsize
	if _, err := fmt.Sscanf(text, "%dx%d", &size[0], &size[1]); err != nil {
		return err
	}
	return ioctl(master, syscall.TIOCSWINSZ, unsafe.Pointer(&size))
}

func openTerminal() (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	var locked, number int32
	if err = ioctl(master, syscall.TIOCSPTLCK, unsafe.Pointer(&locked)); err != nil {
		return nil, nil, err
	}
	if err = ioctl(master, syscall.TIOCGPTN, unsafe.Pointer(&number)); err != nil {
		return nil, nil, err
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	return master, slave, err
}

// terminal has the command's exit code.
func terminal(arguments []string) error {
	if len(arguments) < 4 {
		return fmt.Errorf("what is %q?", arguments)
	}
	master, slave, err := openTerminal()
	if err != nil {
		return err
	}
	if err := resize(master, arguments[0]); err != nil {
		return err
	}
	command := exec.Command(arguments[3], arguments[4:]...)
	command.Stdin, command.Stdout, command.Stderr = slave, slave, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		return err
	}
	slave.Close()
	err = converse(master, func() error {
		return errors.Join(resize(master, arguments[1]), typing(master, arguments[2])())
	})
	ended := command.Wait()
	var exit *exec.ExitError
	if err == nil && errors.As(ended, &exit) {
		os.Exit(exit.ExitCode())
	}
	return errors.Join(err, ended)
}
