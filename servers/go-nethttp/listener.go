package main

// The listening socket, and the few things net/http leaves to it: accept errors and a gentle close.

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"variant/shared"
)

func listen(c shared.Config) (net.Listener, error) {
	inner, err := shared.Listen(c)
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
			stats.Accepted.Add(1)
			stats.Active.Add(1)
			return &conn{TCPConn: inner.(*net.TCPConn)}, nil
		}
		var number syscall.Errno
		if errors.Is(err, net.ErrClosed) || !errors.As(err, &number) {
			return nil, err
		}
		stats.CountErrno(number)
		select {
		case <-time.After(shared.AcceptBackoff):
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

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

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
	c.SetWriteDeadline(time.Now().Add(shared.SendTimeout)) // a client that does not read must not keep its goroutine; best effort
	n, err := c.TCPConn.Write(from)
	return n, c.count(err)
}

func (c *conn) count(err error) error {
	var number syscall.Errno
	if err != nil && err != io.EOF && errors.As(err, &number) {
		stats.CountErrno(number)
	}
	return err
}

// Close discards what the client still sends after a malformed request. net/http itself would close at once, and closing
// with unread input makes the kernel send a reset that can overtake the reply.
func (c *conn) Close() error {
	if c.isDone.Swap(true) {
		return net.ErrClosed
	}
	stats.Active.Add(-1)
	if c.isBusy.Load() && c.CloseWrite() == nil {
		c.SetReadDeadline(time.Now().Add(shared.LingerTimeout)) // best effort, like the reading
		io.Copy(io.Discard, struct{ io.Reader }{c.TCPConn})
	}
	return c.TCPConn.Close()
}
