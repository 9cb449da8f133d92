// go-net: a goroutine per connection on package net, without net/http.
//
// The code below reads as if each client had a thread: Read blocks, Write blocks, and between them lies plain code. None
// of it blocks a thread. Beneath every net.Conn lies a non-blocking socket and, in the runtime, a pollDesc: two slots,
// for who waits to read and who waits to write, and two timers, for the deadlines. Read tries the system call first. On
// EAGAIN it puts its goroutine into the pollDesc's slot and parks it (gopark): a few kilobytes of stack stay behind, and
// the thread goes on with another goroutine. All sockets are registered, once and edge-triggered (EPOLLET, for reading
// and writing at the same time), with one epoll instance, the netpoller. A thread that finds nothing to run asks it
// whom the kernel has called, and those goroutines become runnable. So epoll_ctl is paid per connection, not per
// wait, and a busy client costs read and write, as in a loop written by hand.
//
// What that gives here: a deadline is how a goroutine is woken for any reason at all. /delay is a Read that times out
// (connection.go), and so is being released from /hold: one goroutine per client does everything, and since it is reading
// all the while, a client that leaves is noticed at once.
//
// Needs: Linux 3.2, as Go does. Leaves out: TLS, HTTP/2.
// By hand: ln -s ../_shared-go shared && go run . & curl -i 'http://127.0.0.1:8080/delay?ms=500'
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"variant/shared"
)

const variant = "go-net"

// A round of the drained listener: who is queued already is there at once, so nobody within this time means nobody.
const lastCall = 5 * time.Millisecond

// server is what all connections have in common.
type server struct {
	listener   *net.TCPListener
	replies    *shared.Replies
	stats      *shared.Stats
	gate       gate
	isDraining atomic.Bool // every reply is its connection's last
	mu         sync.Mutex
	conns      map[*conn]struct{}
	serving    sync.WaitGroup
}

// ---- the loop ----------------------------------------------------------------------------------------

// acceptAll gives each client a goroutine, until the listener's deadline passes: the sign to stop.
func (s *server) acceptAll() {
	for {
		tcp, err := s.listener.AcceptTCP() // with TCP_NODELAY on: package net does that by itself
		switch {
		case err == nil:
			s.start(tcp)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return
		default: // EMFILE, ENFILE, ENOBUFS, ENOMEM: asking again at once would spin
			s.stats.CountError(err)
			time.Sleep(shared.AcceptBackoff)
		}
	}
}

func (s *server) start(tcp *net.TCPConn) {
	c := &conn{TCPConn: tcp, server: s}
	s.stats.Accepted.Add(1)
	s.stats.Active.Add(1)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	s.serving.Add(1)
	go func() {
		defer s.serving.Done()
		c.talk()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		s.stats.Active.Add(-1)
		c.Close() // best effort
	}()
}

// ---- shutdown ----------------------------------------------------------------------------------------

// drain takes in who is already queued, closes the listener, lets idle clients go and waits for the others.
func (s *server) drain(most time.Duration) {
	isOver := time.After(most)
	s.isDraining.Store(true)
	for { // closing the listener would reset who is in its queue
		s.listener.SetDeadline(time.Now().Add(lastCall)) // cannot fail: the listener is open
		tcp, err := s.listener.AcceptTCP()
		if err != nil {
			break
		}
		s.start(tcp)
	}
	s.listener.Close() // best effort
	s.mu.Lock()
	for c := range s.conns {
		if c.isIdle.Load() {
			c.CloseRead() // Read returns what has come already, then the end; best effort
		}
	}
	s.mu.Unlock()
	allLeft := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(allLeft)
	}()
	select {
	case <-allLeft:
	case <-isOver: // whoever is left ends with the process
	}
}

func main() {
	config := shared.ReadConfig()
	stats := shared.NewStats(config.Instance)
	listener, err := shared.Listen(config)
	if err != nil {
		fmt.Fprintln(os.Stderr, "listen:", err)
		os.Exit(1)
	}
	s := &server{listener: listener, stats: stats, conns: map[*conn]struct{}{}}
	s.gate.waiting = map[*conn]struct{}{}
	s.replies = &shared.Replies{Variant: variant, Nonce: config.Nonce, Stats: stats, Held: s.gate.count}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	fmt.Fprintf(os.Stderr, "%s: listening on %s, backlog %d\n", variant, listener.Addr(), config.Backlog)

	go func() {
		<-stop
		listener.SetDeadline(time.Unix(1, 0)) // long past: acceptAll returns; cannot fail
	}()
	s.acceptAll()
	s.drain(config.Drain)
}
