// SPDX-License-Identifier: Apache-2.0

// peer runs on the host of a guest and talks to it: see package wire. Each transfer is a line
// "@test peer key=value ..." on standard output.
//
//	peer serve PORT
//	peer echo ADDRESS TEXT
//	peer get ADDRESS BYTES
//	peer put ADDRESS BYTES
//	peer as UID COMMAND...     runs a command as that user, without groups and privileges
//	peer contained COMMAND...  runs a command without the system calls that a container forbids
//	peer contained-by-old COMMAND...
//	                           the same with a runtime that is older than Landlock
//	peer unix PATH TYPED...    is on the other end of a console's socket
//	peer device PATH TYPED...  is on the other end of a console's pseudo-terminal
//	peer terminal ROWSxCOLUMNS ROWSxCOLUMNS TYPED COMMAND...
//	                           runs a command on a terminal of the first size, which then becomes the second
//
// The last three pass on what the guest prints, and type a line each time it says that it is ready.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"vmm.invalid/guest/wire"
)

func say(text string) { fmt.Println("@test peer " + text) }

func run(arguments []string) error {
	if len(arguments) == 2 && arguments[0] == "serve" {
		if err := wire.Serve(arguments[1], say); err != nil {
			return err
		}
		say("serving=" + arguments[1])
		select {}
	}
	if len(arguments) < 3 {
		return fmt.Errorf("what is %q?", arguments)
	}
	if arguments[0] == "contained" || arguments[0] == "contained-by-old" {
		return contained(arguments[0] != "contained", arguments[1:])
	}
	number, err := strconv.ParseInt(arguments[2], 10, 64)
	switch arguments[0] {
	case "as":
		return as(arguments[1], arguments[2:])
	case "unix":
		return unix(arguments[1], arguments[2:])
	case "device":
		return device(arguments[1], arguments[2:])
	case "terminal":
		return terminal(arguments[1:])
	case "echo":
		if err = wire.Echo(arguments[1], arguments[2]); err == nil {
			say("verb=echo")
		}
		return err
	}
	if err != nil {
		return err
	}
	var moved wire.Moved
	if arguments[0] == "get" {
		moved, err = wire.Get(arguments[1], number)
	} else {
		moved, err = wire.Put(arguments[1], number)
	}
	if err == nil {
		say("verb=" + arguments[0] + " " + moved.String())
	}
	return err
}

func as(user string, command []string) error {
	uid, err := strconv.Atoi(user)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return syscall.Setgroups(nil) },
		func() error { return syscall.Setgid(uid) },
		func() error { return syscall.Setuid(uid) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return become(command)
}

func become(command []string) error {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, command, os.Environ())
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		say(fmt.Sprintf("failed=%q", err.Error()))
		os.Exit(1)
	}
}
