package main

import (
	"sync"
	"time"
)

// gate holds clients back until somebody opens it.
type gate struct {
	mu      sync.Mutex
	waiting map[*conn]struct{}
}

func (g *gate) enter(c *conn) {
	g.mu.Lock()
	g.waiting[c] = struct{}{}
	g.mu.Unlock()
}

// leave is called by who waited, released or not. After it nobody touches the connection's deadline any more.
func (g *gate) leave(c *conn) {
	g.mu.Lock()
	delete(g.waiting, c)
	g.mu.Unlock()
}

// open releases everybody and returns how many that were. Their goroutines are parked in Read; a deadline that has
// passed wakes them, with nobody to send to and no channel to wait on beside the socket.
func (g *gate) open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	released := len(g.waiting)
	for c := range g.waiting {
		c.SetReadDeadline(time.Unix(1, 0)) // long past; fails only on a closed connection
	}
	clear(g.waiting)
	return released
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}
