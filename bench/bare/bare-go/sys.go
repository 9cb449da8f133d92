package main

// System calls that return at once, without a word to Go's scheduler.

import (
	"syscall"
	"unsafe"
)

func receive(fd int, to []byte) int {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&to[0])), uintptr(len(to)))
	if errno != 0 {
		return -1
	}
	return int(n)
}

func send(fd int, from []byte) int {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&from[0])),
		uintptr(len(from)), syscall.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return -1
	}
	return int(n)
}

// wait asks raw and without sleeping first, and gives the processor away only to sleep.
func wait(epoll int, events []syscall.EpollEvent) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), 0, 0, 0)
	if errno == 0 && n > 0 {
		return int(n), nil
	}
	return syscall.EpollWait(epoll, events, -1)
}
