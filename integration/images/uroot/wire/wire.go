// SPDX-License-Identifier: Apache-2.0

// Package wire is what a guest and the host that it runs on say to each other over TCP to see that bytes arrive
// as they were sent. A client sends one line:
//
//	echo TEXT   the text comes back as a line
//	get BYTES   so many bytes come
//	put BYTES   so many bytes go, and their number and SHA-256 come back as a line, with a mark for each few MiB in front
//
// Two things are so because of passt of March 2023. Nobody waits for the end of the other's half of a connection: it
// does not pass that on when the guest closed its own half first. And it resets a connection on which the guest only
// sends for 24 seconds: hence the marks.
package wire

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	chunk   = 64 << 10
	mark    = "+"
	marked  = 4 << 20          // bytes
	patient = 10 * time.Minute // a whole conversation
)

// A Stream is an endless source of bytes that differ from one seed to the next (xorshift64*).
type Stream struct{ state uint64 }

// NewStream takes any seed.
func NewStream(seed uint64) *Stream { return &Stream{seed*0x9e3779b97f4a7c15 | 1} }

// Next is 64 bits of it.
func (s *Stream) Next() uint64 {
	s.state ^= s.state >> 12
	s.state ^= s.state << 25
	s.state ^= s.state >> 27
	return s.state * 0x2545f4914f6cdd1d
}

// Fill overwrites a buffer whose length is a multiple of 8.
func (s *Stream) Fill(buffer []byte) {
	for at := 0; at+8 <= len(buffer); at += 8 {
		binary.LittleEndian.PutUint64(buffer[at:], s.Next())
	}
}

// Moved says how many bytes went over and what their sum is.
type Moved struct {
	Bytes int64
	Sum   string
}

func (m Moved) String() string { return fmt.Sprintf("bytes=%d sha256=%s", m.Bytes, m.Sum) }

func summed(bytes int64, sum hash.Hash) Moved {
	return Moved{bytes, fmt.Sprintf("%x", sum.Sum(nil))}
}

func send(to io.Writer, bytes int64, seed uint64) (Moved, error) {
	stream, sum, buffer := NewStream(seed), sha256.New(), make([]byte, chunk)
	for left := bytes; left > 0; {
		stream.Fill(buffer)
		part := buffer[:min(left, chunk)]
		if _, err := to.Write(part); err != nil {
			return Moved{}, err
		}
		sum.Write(part)
		left -= int64(len(part))
	}
	return summed(bytes, sum), nil
}

// receive writes a mark for each few MiB that came.
func receive(from io.Reader, bytes int64, marks io.Writer) (Moved, error) {
	sum, buffer := sha256.New(), make([]byte, chunk)
	came := int64(0)
	for came < bytes {
		part := min(bytes-came, marked)
		got, err := io.CopyBuffer(sum, io.LimitReader(from, part), buffer)
		came += got
		if err == nil && got != part {
			err = fmt.Errorf("%d bytes came, not %d", came, bytes)
		}
		if err == nil {
			_, err = io.WriteString(marks, mark)
		}
		if err != nil {
			return Moved{}, err
		}
	}
	return summed(came, sum), nil
}

// Serve answers on one port until the process ends; `report` gets a line for each transfer.
func Serve(port string, report func(string)) error {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				report("failed=" + strconv.Quote(err.Error()))
				return
			}
			go answer(connection, report)
		}
	}()
	return nil
}

func answer(connection net.Conn, report func(string)) {
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(patient))
	reader := bufio.NewReader(connection)
	line, err := reader.ReadString('\n')
	if err != nil {
		return
	}
	verb, argument, _ := strings.Cut(strings.TrimSpace(line), " ")
	var moved Moved
	switch verb {
	case "echo":
		_, err = fmt.Fprintln(connection, argument)
	case "get":
		var bytes int64
		if bytes, err = strconv.ParseInt(argument, 10, 64); err == nil {
			moved, err = send(connection, bytes, uint64(time.Now().UnixNano()))
		}
	case "put":
		var bytes int64
		if bytes, err = strconv.ParseInt(argument, 10, 64); err == nil {
			moved, err = receive(reader, bytes, connection)
		}
		if err == nil {
			_, err = fmt.Fprintln(connection, moved)
		}
	default:
		err = fmt.Errorf("no verb %q", verb)
	}
	if err != nil {
		report(fmt.Sprintf("verb=%s failed=%q", verb, err.Error()))
		return
	}
	report(fmt.Sprintf("verb=%s %s", verb, moved))
}

// ask connects, says what is wanted and lets `then` do the rest of the conversation.
func ask(address, line string, then func(net.Conn, *bufio.Reader) error) error {
	connection, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(patient))
	if _, err := fmt.Fprintln(connection, line); err != nil {
		return err
	}
	return then(connection, bufio.NewReader(connection))
}

// hears reads a line and compares it; there may be marks in front.
func hears(from *bufio.Reader, expected string) error {
	line, err := from.ReadString('\n')
	if err == nil && strings.TrimLeft(line, mark) != expected+"\n" {
		err = fmt.Errorf("they said %q, not %q", line, expected)
	}
	return err
}

// Echo sends a text and wants it back.
func Echo(address, text string) error {
	return ask(address, "echo "+text, func(_ net.Conn, from *bufio.Reader) error { return hears(from, text) })
}

// Get receives so many bytes.
func Get(address string, bytes int64) (moved Moved, err error) {
	err = ask(address, fmt.Sprintf("get %d", bytes), func(_ net.Conn, from *bufio.Reader) (err error) {
		moved, err = receive(from, bytes, io.Discard)
		return err
	})
	return moved, err
}

// Put sends so many bytes, and compares what the other side says of them.
func Put(address string, bytes int64) (moved Moved, err error) {
	err = ask(address, fmt.Sprintf("put %d", bytes), func(to net.Conn, from *bufio.Reader) (err error) {
		if moved, err = send(to, bytes, uint64(time.Now().UnixNano())); err != nil {
			return err
		}
		return hears(from, moved.String())
	})
	return moved, err
}
