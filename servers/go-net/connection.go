package main

// One client: read, answer every complete request, write once, read again.

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"variant/shared"
)

// What the deadline of the next Read limits.
type limit uint8

const (
	limitNothing limit = iota
	limitHead
	limitBody
)

// What answering comes to.
type outcome uint8

const (
	goOn outcome = iota
	leave
	linger // leave, but gently
)

const outMax = 64 << 10 // replies to pipelined requests go out together, up to here

type conn struct {
	*net.TCPConn
	server      *server
	parser      shared.Parser
	in          shared.Buffer
	out         []byte
	limit       limit
	hasDeadline bool        // for reading
	patience    time.Time   // when the deadline for writing was last moved
	isIdle      atomic.Bool // reading, and nothing of a request is here: may be closed at shutdown
}

func (c *conn) talk() {
	c.limitRead(limitHead, shared.HeadTimeout) // the first request's time runs from accept
	for {
		isIdle := c.in.IsEmpty() && !c.parser.InBody()
		c.isIdle.Store(isIdle) // then isDraining is read; drain goes the other way round
		if isIdle && c.server.isDraining.Load() {
			c.CloseRead() // unless a request has just come; best effort
		}
		n, err := c.Read(c.in.Room())
		c.isIdle.Store(false)
		if err != nil { // it left, it was too slow, or the connection broke
			c.count(err)
			return
		}
		c.in.Extend(n)
		switch c.answerAll() {
		case leave:
			return
		case linger:
			c.discard()
			return
		}
		c.in.Compact()
		c.settle()
	}
}

// answerAll answers every complete request held, in order; the replies go out together.
func (c *conn) answerAll() outcome {
	var r shared.Request
	for {
		switch c.parser.Next(&c.in, &r) {
		case shared.Nothing:
			return c.flush(goOn)
		case shared.Continue:
			c.out = shared.AppendContinue(c.out)
			continue
		}
		c.limit = limitNothing // the next request gets limits of its own
		if !r.IsBroken {
			c.server.stats.Requests.Add(1)
		}
		if after := c.answer(&r); after != goOn {
			return after
		}
		if !r.KeepAlive {
			// Closing with unread input would make the kernel send a reset that can overtake the reply.
			if r.IsBroken || !c.in.IsEmpty() {
				return c.flush(linger)
			}
			return c.flush(leave)
		}
		if len(c.out) > outMax && c.flush(goOn) != goOn {
			return leave
		}
	}
}

func (c *conn) answer(r *shared.Request) outcome {
	switch r.Route {
	case shared.RouteDelay, shared.RouteHold:
		if c.flush(goOn) != goOn { // an earlier reply does not wait for this one
			return leave
		}
		var until time.Time
		if r.Route == shared.RouteDelay {
			until = time.Now().Add(time.Duration(r.DelayMs) * time.Millisecond)
		}
		if !c.wait(until, r.Route == shared.RouteHold) {
			return leave
		}
	}
	r.KeepAlive = r.KeepAlive && !c.server.isDraining.Load()
	if r.Route == shared.RouteRelease {
		c.out = c.server.replies.AppendReleased(c.out, r, c.server.gate.open())
	} else {
		c.out = c.server.replies.Append(c.out, r)
	}
	return goOn
}

// wait sleeps until a time, or until the gate opens, and reads all the while: it is the end of input that tells that the
// client left. A deadline that passes is the good end: it is time to answer. False: nobody is there any more.
func (c *conn) wait(until time.Time, isHeld bool) bool {
	c.SetReadDeadline(until) // zero: none; best effort, like every deadline: it fails on a closed connection only
	c.hasDeadline = true
	if isHeld {
		c.server.gate.enter(c)
		defer c.server.gate.leave(c)
	}
	c.in.Compact()
	for {
		var n int
		var err error
		if len(c.in.Data) < shared.InputMax {
			n, err = c.Read(c.in.Room()) // it asks on already: that has to wait its turn
			c.in.Extend(n)
		} else {
			err = c.waitForLeaving()
		}
		if err != nil {
			c.count(err)
			return errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
}

// waitForLeaving is for a client that asks on and on while it waits: no more is read, only its leaving is looked for.
// The netpoller calls with each change of the socket, the end of input among them (it registers EPOLLRDHUP, too), and
// then the kernel is asked for the state of the connection: the first byte of struct tcp_info.
func (c *conn) waitForLeaving() error {
	const closeWait, closed = 8, 7 // TCP_CLOSE_WAIT, TCP_CLOSE
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	err = raw.Read(func(fd uintptr) bool {
		word, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO)
		state := binary.NativeEndian.AppendUint32(nil, uint32(word))[0]
		return err != nil || state == closeWait || state == closed
	})
	if err == nil {
		return io.EOF
	}
	return err
}

// flush sends what there is to say; it returns `after`, or leave when the client does not take it.
func (c *conn) flush(after outcome) outcome {
	if len(c.out) == 0 {
		return after
	}
	if now := time.Now(); now.Sub(c.patience) > time.Second { // each second at most: moving a timer costs, too
		c.patience = now
		c.SetWriteDeadline(now.Add(shared.SendTimeout + time.Second)) // so that 30 s are left at any time
	}
	_, err := c.Write(c.out)
	c.out = c.out[:0]
	if cap(c.out) > outMax { // a rare, large reply should not stay in memory
		c.out = nil
	}
	if err != nil {
		c.count(err)
		return leave
	}
	return after
}

// settle sets the deadline of the Read to come. Each byte does not move it: who sends slowly gains nothing.
func (c *conn) settle() {
	switch {
	case c.parser.InBody():
		if c.limit != limitBody {
			c.limitRead(limitBody, shared.BodyTimeout)
		}
	case !c.in.IsEmpty():
		if c.limit != limitHead {
			c.limitRead(limitHead, shared.HeadTimeout)
		}
	case c.hasDeadline: // between two requests a client may be silent for ever
		c.SetReadDeadline(time.Time{})
		c.hasDeadline = false
	}
}

func (c *conn) limitRead(what limit, most time.Duration) {
	c.limit, c.hasDeadline = what, true
	c.SetReadDeadline(time.Now().Add(most))
}

// discard drops what the client still sends, so that the reply it has not read yet survives the close.
func (c *conn) discard() {
	if c.CloseWrite() != nil {
		return
	}
	c.SetReadDeadline(time.Now().Add(shared.LingerTimeout))
	for {
		c.in = shared.Buffer{Data: c.in.Data[:0]}
		if _, err := c.Read(c.in.Room()); err != nil {
			return
		}
	}
}

func (c *conn) count(err error) {
	if err != io.EOF && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.server.stats.CountError(err)
	}
}
