package main

// The listening socket, and the few things net/http leaves to it: the backlog, accept errors and a gentle close.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	acceptBackoff = 100 * time.Millisecond // after EMFILE: not to spin, yet short beside a client's patience
	lingerTimeout = 2 * time.Second
	soReusePort   = 15 // SO_REUSEPORT; package syscall does not have it for amd64
)

type config struct {
	address   netip.AddrPort // LAB_HOST, LAB_PORT
	backlog   int            // LAB_BACKLOG
	drain     time.Duration  // LAB_DRAIN_S
	reusePort bool           // LAB_REUSEPORT
	nonce     string         // LAB_NONCE, or empty: which run started this server
	instance  *int           // LAB_INSTANCE, or nil: its number among those that share the port
}

func refuse(name, value, expected string) {
	fmt.Fprintf(os.Stderr, "%s: expected %s, got '%s'\n", name, expected, value)
	os.Exit(2)
}

func readInt(name string, fallback, least, most int) int {
	text, isSet := os.LookupEnv(name)
	if !isSet {
		return fallback
	}
	value, err := strconv.Atoi(text)
	if err != nil || value < least || value > most {
		refuse(name, text, fmt.Sprintf("a whole number from %d to %d", least, most))
	}
	return value
}

var nonceForm = regexp.MustCompile(`^[0-9a-f]{16,64}$`)

func readConfig() config {
	host, isSet := os.LookupEnv("LAB_HOST")
	if !isSet {
		host = "0.0.0.0"
	}
	address, err := netip.ParseAddr(host)
	if err != nil || !address.Is4() {
		refuse("LAB_HOST", host, "an IPv4 address")
	}
	nonce, isSet := os.LookupEnv("LAB_NONCE")
	if isSet && !nonceForm.MatchString(nonce) {
		refuse("LAB_NONCE", nonce, "16 to 64 hex digits in lower case")
	}
	var instance *int
	if _, isSet := os.LookupEnv("LAB_INSTANCE"); isSet {
		number := readInt("LAB_INSTANCE", 0, 0, 9999)
		instance = &number
	}
	drain := 5.0
	if text, isSet := os.LookupEnv("LAB_DRAIN_S"); isSet {
		drain, err = strconv.ParseFloat(text, 64)
		if err != nil || !(drain >= 0 && drain <= 3600) { // written so that NaN fails
			refuse("LAB_DRAIN_S", text, "seconds from 0 to 3600")
		}
	}
	return config{
		address:   netip.AddrPortFrom(address, uint16(readInt("LAB_PORT", 8080, 1, 65535))),
		backlog:   readInt("LAB_BACKLOG", 4096, 1, 1<<20),
		drain:     time.Duration(drain * float64(time.Second)),
		reusePort: readInt("LAB_REUSEPORT", 0, 0, 1) == 1,
		nonce:     nonce,
		instance:  instance,
	}
}

// listen makes the socket by hand, because package net always passes net.core.somaxconn as the backlog.
func listen(c config) (net.Listener, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close() // net.FileListener works on a copy
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return nil, os.NewSyscallError("SO_REUSEADDR", err)
	}
	if c.reusePort {
		if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, soReusePort, 1); err != nil {
			return nil, os.NewSyscallError("SO_REUSEPORT", err)
		}
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(c.address.Port()), Addr: c.address.Addr().As4()}); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	if err := syscall.Listen(fd, c.backlog); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	inner, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	return &listener{Listener: inner, closed: make(chan struct{})}, nil
}

type listener struct {
	net.Listener
	closed chan struct{}
	once   sync.Once
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// Accept counts what goes wrong and waits a little; net/http would log each failure. (TCP_NODELAY is on by default.)
func (l *listener) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		if err == nil {
			stats.accepted.Add(1)
			stats.active.Add(1)
			return &conn{TCPConn: inner.(*net.TCPConn)}, nil
		}
		var number syscall.Errno
		if errors.Is(err, net.ErrClosed) || !errors.As(err, &number) {
			return nil, err
		}
		stats.countError(number)
		select {
		case <-time.After(acceptBackoff):
		case <-l.closed:
		}
	}
}

// conn is a TCP connection that counts its errors and knows whether it may be closed at once.
type conn struct {
	*net.TCPConn
	isBusy atomic.Bool // a request has begun and no handler has answered it: true at Close means it was malformed
	isDone atomic.Bool
}

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }

func connOf(r *http.Request) *conn { return r.Context().Value(connKey{}).(*conn) }

var newConns sync.Map // *conn -> nothing: those that have not asked anything yet

func trackState(c net.Conn, state http.ConnState) {
	c.(*conn).isBusy.Store(state == http.StateActive)
	if state == http.StateNew {
		newConns.Store(c, nil)
	} else {
		newConns.Delete(c)
	}
}

func hurryNew() {
	newConns.Range(func(c, _ any) bool {
		c.(*conn).SetReadDeadline(time.Now()) // best effort
		return true
	})
}

// Read counts the errors of the connection, such as ECONNRESET; Write does the same.
func (c *conn) Read(to []byte) (int, error) {
	n, err := c.TCPConn.Read(to)
	return n, c.count(err)
}

func (c *conn) Write(from []byte) (int, error) {
	c.SetWriteDeadline(time.Now().Add(sendTimeout)) // a client that does not read must not keep its goroutine; best effort
	n, err := c.TCPConn.Write(from)
	return n, c.count(err)
}

func (c *conn) count(err error) error {
	var number syscall.Errno
	if err != nil && err != io.EOF && errors.As(err, &number) {
		stats.countError(number)
	}
	return err
}

// Close discards what the client still sends after a malformed request. net/http itself would close at once, and closing
// with unread input makes the kernel send a reset that can overtake the reply.
func (c *conn) Close() error {
	if c.isDone.Swap(true) {
		return net.ErrClosed
	}
	stats.active.Add(-1)
	if c.isBusy.Load() && c.CloseWrite() == nil {
		c.SetReadDeadline(time.Now().Add(lingerTimeout)) // best effort, like the reading
		io.Copy(io.Discard, struct{ io.Reader }{c.TCPConn})
	}
	return c.TCPConn.Close()
}
