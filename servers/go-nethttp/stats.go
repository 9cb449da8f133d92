package main

// What GET /stats tells.

import (
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
)

var stats = newCounters()

type counters struct {
	accepted, active, requests atomic.Int64
	instance                   *int       // LAB_INSTANCE; nil becomes null
	mu                         sync.Mutex // errors, and the position in the two folders
	errors                     map[string]int
	fds, tasks                 *os.File // opened early: later there may be no descriptor left; nil: cannot be read
}

func newCounters() *counters {
	c := &counters{errors: map[string]int{}}
	c.fds, _ = os.Open("/proc/self/fd") // best effort: null in /stats without it
	c.tasks, _ = os.Open("/proc/self/task")
	return c
}

// The errors a socket of ours can meet; package syscall has only their sentences.
var errnoNames = map[syscall.Errno]string{
	syscall.EMFILE: "EMFILE", syscall.ENFILE: "ENFILE", syscall.ENOBUFS: "ENOBUFS", syscall.ENOMEM: "ENOMEM",
	syscall.ECONNABORTED: "ECONNABORTED", syscall.ECONNRESET: "ECONNRESET", syscall.EPIPE: "EPIPE",
	syscall.ETIMEDOUT: "ETIMEDOUT", syscall.ENOTCONN: "ENOTCONN", syscall.EHOSTUNREACH: "EHOSTUNREACH",
}

func (c *counters) countError(number syscall.Errno) {
	name, isKnown := errnoNames[number]
	if !isKnown {
		name = number.Error()
	}
	c.mu.Lock()
	c.errors[name]++
	c.mu.Unlock()
}

// countEntries returns nil, which becomes null, when it cannot tell.
func countEntries(folder *os.File) *int {
	if folder == nil {
		return nil
	}
	if _, err := folder.Seek(0, 0); err != nil {
		return nil
	}
	names, err := folder.Readdirnames(-1)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil
	}
	count := len(names)
	return &count
}

// held: clients waiting in /hold.
func (c *counters) json(held int) []byte {
	var gc debug.GCStats
	debug.ReadGCStats(&gc)
	c.mu.Lock()
	defer c.mu.Unlock()
	text, _ := json.Marshal(map[string]any{ // cannot fail: numbers, strings and maps of them
		"variant":    variant,
		"accepted":   c.accepted.Load(),
		"active":     c.active.Load(),
		"held":       held,
		"instance":   c.instance,
		"requests":   c.requests.Load(),
		"errors":     c.errors,
		"open_fds":   countEntries(c.fds),
		"threads":    countEntries(c.tasks),
		"goroutines": runtime.NumGoroutine(),
		"gc_cycles":  gc.NumGC,
		"gc_pause_s": gc.PauseTotal.Seconds(),
	})
	return text
}
