package main

// What a connection waits for between two turns: its state, the limit of its timer, and what epoll is to tell of it.

import (
	"syscall"
	"time"

	"variant/shared"
)

type state uint8

const (
	reading   state = iota // collecting a request
	waiting                // /delay: the timer will answer
	holding                // /hold: POST /release will start the timer
	lingering              // replied to a broken request; discarding what the client still sends, then closing
)

// What a reading connection's timer limits.
type limit uint8

const (
	limitNothing limit = iota
	limitHead
	limitBody
	limitSend
)

var limits = [...]time.Duration{limitHead: shared.HeadTimeout, limitBody: shared.BodyTimeout, limitSend: shared.SendTimeout}

// become is the only way into and out of holding, so that /stats counts right.
func (c *conn) become(next state) {
	if c.state == holding {
		c.loop.held--
	}
	if next == holding {
		c.loop.held++
	}
	c.state = next
}

func (c *conn) postpone(r *shared.Request, next state) {
	later := *r
	later.Body = nil // it lies in a buffer that others will use
	c.request, c.limit = &later, limitNothing
	c.become(next)
}

func (c *conn) setLimit(what limit) {
	c.limit = what
	if what == limitNothing {
		c.loop.timers.cancel(c)
	} else {
		c.loop.timers.set(c, c.loop.now.Add(limits[what]))
	}
}

// settle tells epoll and the timer what this connection waits for now. No system call unless that changed.
func (c *conn) settle() {
	interest := uint32(syscall.EPOLLIN)
	if len(c.out) > 0 && (c.state == reading || c.state == lingering) {
		interest = syscall.EPOLLOUT // who does not read gets no further turn to ask
	} else if len(c.out) > 0 {
		interest |= syscall.EPOLLOUT
	}
	if len(c.in.Data) >= shared.InputMax { // asks on and on while waiting: only hear it leave
		interest = interest&^syscall.EPOLLIN | syscall.EPOLLRDHUP
	}
	if interest != c.interest {
		c.interest = interest
		c.loop.watch(syscall.EPOLL_CTL_MOD, c.fd, interest) // cannot fail
	}
	if c.state != reading {
		return // the timer is already set or not wanted
	}
	want := limitNothing
	switch {
	case len(c.out) > 0:
		want = limitSend
	case c.parser.InBody():
		want = limitBody
	case !c.in.IsEmpty():
		want = limitHead
	}
	if want != c.limit { // a limit is not moved by each byte: who sends slowly gains nothing
		c.setLimit(want)
	}
}
