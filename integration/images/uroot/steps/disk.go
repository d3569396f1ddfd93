// SPDX-License-Identifier: Apache-2.0

// Disks: what the guest sees of them, and work on them that leaves something to compare.
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"vmm.invalid/guest/wire"
)

const (
	mib        = 1 << 20
	sector     = 512
	blkFlushes = 0x1261 // BLKFLSBUF: what is cached goes, so that a read asks the disk
	blkDiscard = 0x1277 // BLKDISCARD
	blkZeroOut = 0x127f // BLKZEROOUT
)

// arguments splits "vda:1:2" into the device's name and numbers; those that are not there are 0.
func arguments(text string) (string, [4]int64, error) {
	var numbers [4]int64
	words := strings.Split(text, ":")
	for i, word := range words[1:] {
		number, err := strconv.ParseInt(word, 10, 64)
		if err != nil || i >= len(numbers) {
			return "", numbers, fmt.Errorf("bad argument %q", text)
		}
		numbers[i] = number
	}
	return words[0], numbers, nil
}

// negotiated lists the feature bits of a virtio device ("1.5.32"), given its folder in sysfs.
func negotiated(folder string) string {
	var bits []string
	for i, c := range text(folder + "/features") {
		if c == '1' {
			bits = append(bits, strconv.Itoa(i))
		}
	}
	return strings.Join(bits, ".")
}

func disk(name string) (string, error) {
	folder := "/sys/block/" + name
	sectors, err := strconv.ParseInt(text(folder+"/size"), 10, 64)
	if err != nil {
		return "", err
	}
	queues, _ := filepath.Glob(folder + "/mq/*")
	return fmt.Sprintf("at=%s bytes=%d ro=%s serial=%q queues=%d logical=%s discard=%s bits=%s", name, sectors*sector,
		text(folder+"/ro"), text(folder+"/serial"), len(queues), text(folder+"/queue/logical_block_size"),
		text(folder+"/queue/discard_max_bytes"), negotiated(folder+"/device")), nil
}

// partitions lists the partitions that the kernel found on a disk: name, first byte and bytes of each.
func partitions(name string) (string, error) {
	folders, err := filepath.Glob("/sys/block/" + name + "/" + name + "[0-9]*")
	if err != nil {
		return "", err
	}
	var found []string
	for _, folder := range folders {
		start, err := strconv.ParseInt(text(folder+"/start"), 10, 64)
		if err != nil {
			return "", err
		}
		size, err := strconv.ParseInt(text(folder+"/size"), 10, 64)
		if err != nil {
			return "", err
		}
		found = append(found, fmt.Sprintf("%s-%d-%d", filepath.Base(folder), start*sector, size*sector))
	}
	return fmt.Sprintf("at=%s count=%d found=%s", name, len(found), strings.Join(found, ".")), nil
}

// capacity:DISK:BYTES waits until the disk has so many bytes, and says how many it has.
func capacity(argument string) (string, error) {
	name, number, err := arguments(argument)
	if err != nil {
		return "", err
	}
	var bytes int64
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		sectors, err := strconv.ParseInt(text("/sys/block/"+name+"/size"), 10, 64)
		if err != nil {
			return "", err
		}
		if bytes = sectors * sector; bytes == number[0] {
			break
		}
	}
	return fmt.Sprintf("at=%s bytes=%d", name, bytes), nil
}

// disks compares each disk's first line with its serial number, and lists those in the order of the disks' names.
func disks(string) (string, error) {
	folders, _ := filepath.Glob("/sys/block/vd*")
	sort.Slice(folders, func(i, j int) bool { // vdz comes before vdaa
		return len(folders[i]) < len(folders[j]) || len(folders[i]) == len(folders[j]) && folders[i] < folders[j]
	})
	different := 0
	var serials []string
	for _, folder := range folders {
		file, err := os.Open("/dev/" + filepath.Base(folder))
		if err != nil {
			return "", err
		}
		first := make([]byte, sector)
		_, err = io.ReadFull(file, first)
		file.Close()
		if err != nil {
			return "", err
		}
		serial := text(folder + "/serial")
		if line, _, _ := strings.Cut(string(first), "\n"); line != serial {
			different++
		}
		serials = append(serials, serial)
	}
	return fmt.Sprintf("count=%d different=%d order=%s", len(folders), different, strings.Join(serials, ".")), nil
}

func control(file *os.File, request uintptr, argument unsafe.Pointer) error {
	if _, _, failure := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), request, uintptr(argument)); failure != 0 {
		return failure
	}
	return nil
}

// sum reads a whole disk, past what is cached.
func sum(name string) (string, error) {
	file, err := os.Open("/dev/" + name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if err := control(file, blkFlushes, nil); err != nil {
		return "", err
	}
	digest := sha256.New()
	bytes, err := io.CopyBuffer(digest, struct{ io.Reader }{file}, make([]byte, mib))
	return fmt.Sprintf("at=%s bytes=%d sha256=%x", name, bytes, digest.Sum(nil)), err
}

// fill:DISK:OFFSET:LENGTH:SEED (MiB) writes through the cache, makes it stable, and reads it back from the disk.
func fill(argument string) (string, error) {
	name, number, err := arguments(argument)
	if err != nil {
		return "", err
	}
	file, err := os.OpenFile("/dev/"+name, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	data := make([]byte, number[1]*mib)
	wire.NewStream(uint64(number[2])).Fill(data)
	if _, err := file.WriteAt(data, number[0]*mib); err != nil {
		return "", err
	}
	if err := file.Sync(); err != nil {
		return "", err
	}
	syscall.Sync()
	if err := control(file, blkFlushes, nil); err != nil {
		return "", err
	}
	back := make([]byte, len(data))
	if _, err := file.ReadAt(back, number[0]*mib); err != nil {
		return "", err
	}
	if !bytes.Equal(back, data) {
		return "", errors.New("what was read back is not what was written")
	}
	return fmt.Sprintf("at=%s bytes=%d sha256=%x", name, len(data), sha256.Sum256(back)), nil
}

// A worker has a part of a disk for itself and knows what must be on it.
type worker struct {
	file   *os.File
	start  int64
	model  []byte
	buffer []byte
	chance *wire.Stream
}

func (w *worker) step() error {
	most := len(w.buffer) / sector
	length := (1 + int(w.chance.Next()>>33)%most) * sector
	if w.chance.Next()>>63 == 0 {
		length = min(length, 8*sector) // small ones, too
	}
	at := int(w.chance.Next()>>33) % ((len(w.model) - length) / sector) * sector
	expected, part := w.model[at:at+length], w.buffer[:length]
	switch w.chance.Next() >> 61 {
	case 0: // write zeroes
		clear(expected)
		return control(w.file, blkZeroOut, unsafe.Pointer(&[2]uint64{uint64(w.start) + uint64(at), uint64(length)}))
	case 1:
		return w.file.Sync()
	case 2, 3, 4:
		w.chance.Fill(expected)
		copy(part, expected)
		_, err := w.file.WriteAt(part, w.start+int64(at))
		return err
	}
	if _, err := w.file.ReadAt(part, w.start+int64(at)); err != nil {
		return err
	}
	if !bytes.Equal(part, expected) {
		return fmt.Errorf("%d bytes at %d are not what was written", length, w.start+int64(at))
	}
	return nil
}

// run stays on one CPU, and with that on one queue of the disk.
func (w *worker) run(cpu int, count int64) error {
	runtime.LockOSThread()
	mask := uint64(1) << (cpu % runtime.NumCPU())
	if _, _, failure := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, 8,
		uintptr(unsafe.Pointer(&mask))); failure != 0 {
		return failure
	}
	w.chance.Fill(w.model)
	for at := 0; at < len(w.model); at += len(w.buffer) {
		copy(w.buffer, w.model[at:])
		if _, err := w.file.WriteAt(w.buffer, w.start+int64(at)); err != nil {
			return err
		}
	}
	for i := int64(0); i < count; i++ {
		if err := w.step(); err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
	}
	return nil
}

// churn:DISK:WORKERS:REQUESTS lets each worker read, write, zero and flush pieces of its MiB at random, past the
// guest's cache, and compare every read. All of it lies at the start of the disk; its sum is what must be there.
func churn(argument string) (string, error) {
	const part, piece = mib, 128 << 10
	name, number, err := arguments(argument)
	if err != nil {
		return "", err
	}
	file, err := os.OpenFile("/dev/"+name, os.O_RDWR|syscall.O_DIRECT, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	workers := make([]worker, number[0])
	failures := make([]error, len(workers))
	var all sync.WaitGroup
	for i := range workers {
		buffer, err := syscall.Mmap(-1, 0, piece, syscall.PROT_READ|syscall.PROT_WRITE,
			syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS) // O_DIRECT wants it aligned
		if err != nil {
			return "", err
		}
		workers[i] = worker{file, int64(i) * part, make([]byte, part), buffer, wire.NewStream(uint64(i) + 1)}
		all.Add(1)
		go func() {
			defer all.Done()
			failures[i] = workers[i].run(i, number[1])
		}()
	}
	all.Wait()
	digest := sha256.New()
	for i := range workers {
		digest.Write(workers[i].model)
	}
	return fmt.Sprintf("at=%s bytes=%d sha256=%x", name, len(workers)*part, digest.Sum(nil)), errors.Join(failures...)
}

// trim:DISK discards all of it and looks whether it reads as zeroes.
func trim(name string) (string, error) {
	file, err := os.OpenFile("/dev/"+name, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	if err := control(file, blkDiscard, unsafe.Pointer(&[2]uint64{0, uint64(size)})); err != nil {
		return "", err
	}
	content := make([]byte, size)
	if _, err := file.ReadAt(content, 0); err != nil {
		return "", err
	}
	return fmt.Sprintf("at=%s bytes=%d nonzero=%d", name, size, size-int64(bytes.Count(content, []byte{0}))), nil
}

// try:DISK:WRITE:KIB reads (or writes, if WRITE is 1) one page at that place, past the cache, and says how it went.
// WRITE 2 also flushes; 3 only opens for writing.
func try(argument string) (string, error) {
	name, number, err := arguments(argument)
	if err != nil {
		return "", err
	}
	page, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS)
	if err != nil {
		return "", err
	}
	defer func() { _ = syscall.Munmap(page) }()
	for i := range page {
		page[i] = 'x'
	}
	flags, what := os.O_RDONLY, "read"
	if number[0] != 0 {
		flags, what = os.O_RDWR, "write"
	}
	file, err := os.OpenFile("/dev/"+name, flags|syscall.O_DIRECT, 0)
	if err == nil {
		defer file.Close()
		if number[0] == 0 {
			_, err = file.ReadAt(page, number[1]<<10)
		} else {
			_, err = file.WriteAt(page, number[1]<<10)
		}
	}
	if err == nil && number[0] == 2 {
		err = file.Sync()
	}
	result := "ok"
	var failure syscall.Errno
	if errors.As(err, &failure) {
		result = map[syscall.Errno]string{syscall.EIO: "EIO", syscall.ENOSPC: "ENOSPC", syscall.EACCES: "EACCES",
			syscall.EPERM: "EPERM", syscall.EROFS: "EROFS"}[failure]
		if result == "" {
			result = fmt.Sprintf("errno%d", failure)
		}
	} else if err != nil {
		return "", err
	}
	return fmt.Sprintf("at=%s what=%s kib=%d result=%s", name, what, number[1], result), nil
}

// repeat:DISK:WRITE:KIB:COUNT does the same request so often, one at a time and past the cache, with as little as possible
// around it: bench/disk_icount.py counts what one costs. It says that it begins, too, and rests, so that whoever reads
// that line gets to it first. The runtime is not told of the system calls: it would look for another thread to go on with.
func repeat(argument string) (string, error) {
	name, number, err := arguments(argument)
	if err != nil {
		return "", err
	}
	number[1] <<= 10
	buffer, err := syscall.Mmap(-1, 0, int(number[1]), syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS|syscall.MAP_POPULATE)
	if err != nil {
		return "", err
	}
	defer func() { _ = syscall.Munmap(buffer) }()
	file, err := os.OpenFile("/dev/"+name, os.O_RDWR|syscall.O_DIRECT, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	call := uintptr(syscall.SYS_PREAD64)
	if number[0] != 0 {
		call = syscall.SYS_PWRITE64
	}
	disk, start, size := file.Fd(), uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer))
	say("repeat", "begins")
	drain()
	time.Sleep(100 * time.Millisecond)
	for i := int64(0); i < number[2]; i++ {
		if done, _, failure := syscall.RawSyscall6(call, disk, start, size, 0, 0, 0); failure != 0 {
			return "", failure
		} else if done != size {
			return "", fmt.Errorf("request %d did %d bytes of %d", i, done, size)
		}
	}
	return fmt.Sprintf("at=%s write=%d bytes=%d count=%d", name, number[0], size, number[2]), nil
}

// record:DISK writes a numbered record into sector after sector, makes each stable and says so, until the end.
func record(name string) (string, error) {
	file, err := os.OpenFile("/dev/"+name, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	for n := int64(1); ; n++ {
		data := make([]byte, sector)
		copy(data, fmt.Sprintf("record %d\n", n))
		if _, err := file.WriteAt(data, n*sector); err != nil {
			return "", err
		}
		if err := file.Sync(); err != nil {
			return "", err
		}
		say("synced", fmt.Sprintf("n=%d", n))
	}
}

// mkfs:DISK makes an ext4 file system with the mke2fs that a scenario brought along.
func mkfs(name string) (string, error) {
	out, err := exec.Command("/sbin/mke2fs", "-q", "-F", "-t", "ext4", "/dev/"+name).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return "at=" + name, nil
}

// ext4:DISK mounts it, checks what the last time left there, leaves new data, and unmounts it.
func ext4(name string) (string, error) {
	const at = "/ext4"
	if err := os.MkdirAll(at, 0o755); err != nil {
		return "", err
	}
	if err := syscall.Mount("/dev/"+name, at, "ext4", 0, ""); err != nil {
		return "", err
	}
	count, err := turn(at)
	if failure := syscall.Unmount(at, 0); err == nil {
		err = failure
	}
	return fmt.Sprintf("at=%s count=%d", name, count), err
}

// turn is one visit to a mounted file system; the number of visits so far names the file of the last one.
func turn(folder string) (int, error) {
	count := 0
	if old, err := os.ReadFile(folder + "/count"); err == nil {
		if count, err = strconv.Atoi(string(old)); err != nil {
			return 0, err
		}
		data, err := os.ReadFile(fmt.Sprintf("%s/data%d", folder, count))
		if err != nil {
			return 0, err
		}
		if sum := fmt.Sprintf("%x", sha256.Sum256(data)); sum != text(folder+"/sum") {
			return 0, fmt.Errorf("the data of visit %d have another sum", count)
		}
	}
	count++
	data := make([]byte, 3*mib)
	wire.NewStream(uint64(count)).Fill(data)
	for file, content := range map[string]string{fmt.Sprintf("data%d", count): string(data), "count": strconv.Itoa(count),
		"sum": fmt.Sprintf("%x", sha256.Sum256(data))} {
		if err := os.WriteFile(folder+"/"+file, []byte(content), 0o644); err != nil {
			return 0, err
		}
	}
	return count, nil
}
