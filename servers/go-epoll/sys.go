package main

// The four system calls of the busy path. Raw: the scheduler is told nothing, which is right only for calls that return
// at once. package syscall's own versions announce each call to the scheduler, before and after.

import (
	"syscall"
	"unsafe"
)

func accept(listener int) (int, syscall.Errno) {
	const flags = syscall.SOCK_NONBLOCK | syscall.SOCK_CLOEXEC
	fd, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, uintptr(listener), 0, 0, flags, 0, 0)
	return int(fd), errno
}

// receive's `to` and send's `from` are never empty.
func receive(fd int, to []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&to[0])), uintptr(len(to)))
	return int(n), errno
}

func send(fd int, from []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&from[0])), uintptr(len(from)),
		syscall.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// wait asks raw, without sleeping, and only when nothing has happened in a way that gives the P away while it sleeps.
func wait(epoll int, events []syscall.EpollEvent, timeoutMs int) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), 0, 0, 0)
	if errno == 0 && (n > 0 || timeoutMs == 0) {
		return int(n), nil
	}
	return syscall.EpollWait(epoll, events, timeoutMs)
}
