package main

// The turns of one connection: read once, answer every complete request, send once. None of them blocks. What it waits for
// between two turns: waiting.go.

import (
	"syscall"
	"time"

	"variant/shared"
)

const (
	scratchMax = 96 << 10  // the longest request fits
	outKept    = 256 << 10 // of the memory for replies, when a rare, larger one is gone
)

type conn struct {
	loop      *loop
	fd        int
	due       time.Time
	place     int // in the heap of timers
	interest  uint32
	state     state
	limit     limit
	isClosing bool // after the output is sent
	isBroken  bool // ... with a lingering close
	parser    shared.Parser
	request   *shared.Request // the one waited for
	in        shared.Buffer   // an incomplete request, or ones that came while waiting; usually empty
	out       []byte          // what the client was too slow to take; usually empty
}

func (l *loop) openConn(fd int) {
	if fd >= len(l.conns) { // descriptors are small numbers, so a table is all the lookup there is
		l.conns = append(l.conns, make([]*conn, fd+1)...)
	}
	c := &conn{loop: l, fd: fd, place: noTimer, interest: syscall.EPOLLIN}
	l.conns[fd] = c
	l.open++
	l.stats.Accepted.Add(1)
	l.stats.Active.Add(1)
	if err := l.watch(syscall.EPOLL_CTL_ADD, fd, c.interest); err != nil {
		l.stats.CountError(err)
		c.close()
		return
	}
	c.setLimit(limitHead)
}

func (c *conn) close() {
	c.become(reading) // no longer held
	c.loop.timers.cancel(c)
	c.loop.conns[c.fd] = nil
	c.loop.open--
	c.loop.stats.Active.Add(-1)
	syscall.Close(c.fd) // best effort; it also takes the socket out of epoll
	c.fd = -1
}

func (c *conn) closeAfter(errno syscall.Errno) {
	c.loop.stats.CountErrno(errno)
	c.close()
}

// answer replies, unless the request has to wait.
func (c *conn) answer(r *shared.Request) {
	l := c.loop
	if !r.IsBroken {
		l.stats.Requests.Add(1)
	}
	switch r.Route {
	case shared.RouteDelay:
		c.postpone(r, waiting)
		l.timers.set(c, l.now.Add(time.Duration(r.DelayMs)*time.Millisecond))
		return
	case shared.RouteHold:
		c.postpone(r, holding)
		l.timers.cancel(c)
		return
	}
	r.KeepAlive = r.KeepAlive && !l.isDraining
	c.isClosing, c.isBroken = !r.KeepAlive, r.IsBroken
	if r.Route == shared.RouteRelease {
		l.out = l.replies.AppendReleased(l.out, r, l.release())
	} else {
		l.out = l.replies.Append(l.out, r)
	}
}

// release only sets timers: answering here could recurse into another /release.
func (l *loop) release() int {
	released := 0
	for _, c := range l.conns {
		if c != nil && c.state == holding {
			c.become(waiting)
			l.timers.set(c, l.now)
			released++
		}
	}
	return released
}

// flush sends what this turn has produced and keeps what the client does not take.
func (c *conn) flush() syscall.Errno {
	l := c.loop
	from := l.out
	if len(c.out) > 0 { // earlier output goes first
		from = append(c.out, l.out...)
	}
	if len(from) == 0 {
		return 0
	}
	n, errno := send(c.fd, from)
	if errno == syscall.EAGAIN || errno == syscall.EINTR {
		n, errno = 0, 0
	}
	if errno == 0 {
		c.out = append(c.out[:0], from[n:]...) // copies forward when it is the same memory
		if len(c.out) == 0 {
			c.out = nil
		}
	}
	l.out = l.out[:0]
	if cap(l.out) > outKept {
		l.out = nil
	}
	return errno
}

// serve answers every complete request in `in`, in order, with one send; it stops at one that has to wait.
func (c *conn) serve(in *shared.Buffer) {
	l := c.loop
	var r shared.Request
	for c.state == reading && !c.isClosing {
		parsed := c.parser.Next(in, &r)
		if parsed == shared.Nothing {
			break
		}
		if parsed == shared.Continue {
			l.out = shared.AppendContinue(l.out)
			continue
		}
		if c.limit != limitNothing {
			c.setLimit(limitNothing) // the next request gets limits of its own
		}
		c.answer(&r)
	}
	c.isBroken = c.isBroken || c.isClosing && !in.IsEmpty() // it asked on after "Connection: close"
	if c.isClosing {
		in.Start = len(in.Data)
	}
	if in == &c.in {
		c.in.Compact()
	} else if !in.IsEmpty() {
		c.in.Data = append(c.in.Data, in.Unread()...)
	}
	if c.in.IsEmpty() {
		c.in.Data = nil
	}
	if errno := c.flush(); errno != 0 {
		c.closeAfter(errno)
		return
	}
	if c.isClosing && len(c.out) == 0 {
		if !c.isBroken || syscall.Shutdown(c.fd, syscall.SHUT_WR) != nil {
			c.close()
			return
		}
		c.state = lingering // closing with unread input would make the kernel send a reset that can overtake the reply
		l.timers.set(c, l.now.Add(shared.LingerTimeout))
	}
	c.settle()
}

func (c *conn) read() {
	l := c.loop
	in := &l.in
	var to []byte
	if len(c.in.Data) > 0 {
		in = &c.in
		to = in.Room()
	} else {
		if in.Data == nil {
			in.Data = make([]byte, 0, scratchMax)
		}
		in.Data, in.Start = in.Data[:0], 0
		to = in.Data[:cap(in.Data)]
	}
	n, errno := receive(c.fd, to)
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		if l.isDraining && c.state == reading && len(c.in.Data) == 0 && len(c.out) == 0 {
			c.close() // idle
		}
	case errno != 0:
		c.closeAfter(errno)
	case n == 0: // it left: whatever it waited for is cancelled
		c.close()
	case c.state != lingering:
		in.Extend(n)
		c.serve(in)
	}
}

func (c *conn) onTimer() {
	l := c.loop
	l.timers.cancel(c)
	if c.state != waiting { // too slow to ask, to read or to leave
		c.close()
		return
	}
	c.become(reading)
	r := c.request
	c.request = nil
	r.KeepAlive = r.KeepAlive && !l.isDraining
	c.isClosing = !r.KeepAlive
	l.out = l.replies.Append(l.out, r)
	c.serve(&c.in) // and whatever it asked meanwhile
}

func (c *conn) onEvent(events uint32) {
	switch {
	case events&syscall.EPOLLOUT != 0:
		c.serve(&c.in) // room again: send, then go on with what it asked meanwhile
	case events&(syscall.EPOLLIN|syscall.EPOLLERR|syscall.EPOLLHUP) != 0:
		c.read() // an error is what the kernel then reports
	default:
		c.close() // EPOLLRDHUP
	}
}
