package shared

import (
	"context"
	"net"
	"os"
	"syscall"
)

// Listen opens the port through package net, which leaves two things to be put right.
//
// The backlog: net always asks for net.core.somaxconn. A second listen(2) on a listening socket changes nothing but the
// backlog, so that is what happens here. And what net turns on by itself: multipath TCP on listeners (since Go 1.24), which
// is another protocol than the one under test, and keep-alive probes, which would cost four system calls for each client
// and keep ten thousand idle connections chattering.
func Listen(c Config) (*net.TCPListener, error) {
	setup := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, raw syscall.RawConn) error {
		if !c.ReusePort {
			return nil
		}
		return control(raw, "SO_REUSEPORT", func(fd int) error {
			return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, SoReusePort, 1)
		})
	}}
	setup.SetMultipathTCP(false)
	any, err := setup.Listen(context.Background(), "tcp4", c.Address.String())
	if err != nil {
		return nil, err
	}
	listener := any.(*net.TCPListener)
	raw, err := listener.SyscallConn()
	if err != nil {
		return nil, err
	}
	return listener, control(raw, "listen", func(fd int) error { return syscall.Listen(fd, c.Backlog) })
}

// control lets `act` use the descriptor that package net otherwise keeps to itself.
func control(raw syscall.RawConn, what string, act func(fd int) error) error {
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = act(int(fd)) }); err != nil {
		return err
	}
	return os.NewSyscallError(what, failed)
}
