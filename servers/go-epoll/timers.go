package main

import (
	"container/heap"
	"time"
)

// timers is a heap of the connections that wait for a time, the first due in front. A connection has one deadline at
// most, and knows its place, so that it can be moved or taken out.
type timers []*conn

const noTimer = -1 // a connection's place when it waits for no time

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].due.Before(t[j].due) }
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].place, t[j].place = i, j
}
func (t *timers) Push(c any) {
	c.(*conn).place = len(*t)
	*t = append(*t, c.(*conn))
}
func (t *timers) Pop() any {
	last := len(*t) - 1
	c := (*t)[last]
	(*t)[last] = nil // or the collector would keep it
	*t = (*t)[:last]
	c.place = noTimer
	return c
}

func (t *timers) set(c *conn, due time.Time) {
	c.due = due
	if c.place == noTimer {
		heap.Push(t, c)
	} else {
		heap.Fix(t, c.place)
	}
}

func (t *timers) cancel(c *conn) {
	if c.place != noTimer {
		heap.Remove(t, c.place)
	}
}
