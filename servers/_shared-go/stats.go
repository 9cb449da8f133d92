package shared

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"syscall"
)

// Stats is what GET /stats tells.
type Stats struct {
	Accepted, Active, Requests atomic.Int64

	instance   *int
	mu         sync.Mutex // errors, and the position in the two folders
	errors     map[string]int
	fds, tasks *os.File // opened early: later there may be no descriptor left; nil: cannot be read
}

// NewStats takes LAB_INSTANCE, or nil.
func NewStats(instance *int) *Stats {
	s := &Stats{instance: instance, errors: map[string]int{}}
	s.fds, _ = os.Open("/proc/self/fd") // best effort: null in /stats without it
	s.tasks, _ = os.Open("/proc/self/task")
	return s
}

// The errors a socket of ours can meet; package syscall has only their sentences.
var errnoNames = map[syscall.Errno]string{
	syscall.EMFILE: "EMFILE", syscall.ENFILE: "ENFILE", syscall.ENOBUFS: "ENOBUFS", syscall.ENOMEM: "ENOMEM",
	syscall.ECONNABORTED: "ECONNABORTED", syscall.ECONNRESET: "ECONNRESET", syscall.EPIPE: "EPIPE",
	syscall.ETIMEDOUT: "ETIMEDOUT", syscall.ENOTCONN: "ENOTCONN", syscall.EHOSTUNREACH: "EHOSTUNREACH",
	syscall.EPROTO: "EPROTO", syscall.ENOSPC: "ENOSPC",
}

func (s *Stats) CountErrno(number syscall.Errno) {
	name, isKnown := errnoNames[number]
	if !isKnown {
		name = number.Error()
	}
	s.mu.Lock()
	s.errors[name]++
	s.mu.Unlock()
}

// CountError counts the system call's error behind one of package net's, if there is one.
func (s *Stats) CountError(err error) {
	var number syscall.Errno
	if errors.As(err, &number) {
		s.CountErrno(number)
	}
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
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a thread that ended meanwhile
		return nil
	}
	count := len(names)
	return &count
}

// quantile returns the upper edge of the bucket that holds the q-th value (of a bucket without one: its lower edge);
// nil when nothing was counted.
func quantile(h *metrics.Float64Histogram, q float64) *float64 {
	var total, seen uint64
	for _, count := range h.Counts {
		total += count
	}
	for i, count := range h.Counts {
		seen += count
		if count > 0 && float64(seen) >= q*float64(total) {
			edge := h.Buckets[i+1]
			if math.IsInf(edge, 1) {
				edge = h.Buckets[i]
			}
			return &edge
		}
	}
	return nil
}

// JSON renders the counters. held: clients waiting in /hold. From the runtime: how many goroutines there are, how often
// the collector ran and how long it stopped all of them, and the time that 99 of 100 goroutines at most waited, ready to
// run, for a thread; all of it since the process began.
func (s *Stats) JSON(variant string, held int) []byte {
	var gc debug.GCStats
	debug.ReadGCStats(&gc) // its sum of pauses is exact; runtime/metrics only has their histogram
	sampled := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/sched/latencies:seconds"}}
	metrics.Read(sampled)
	s.mu.Lock()
	defer s.mu.Unlock()
	text, _ := json.Marshal(map[string]any{ // cannot fail: finite numbers, strings and maps of them
		"variant":             variant,
		"accepted":            s.Accepted.Load(),
		"active":              s.Active.Load(),
		"held":                held,
		"instance":            s.instance,
		"requests":            s.Requests.Load(),
		"errors":              s.errors,
		"open_fds":            countEntries(s.fds),
		"threads":             countEntries(s.tasks),
		"goroutines":          sampled[0].Value.Uint64(),
		"gc_cycles":           gc.NumGC,
		"gc_pause_s":          gc.PauseTotal.Seconds(),
		"sched_latency_p99_s": quantile(sampled[1].Value.Float64Histogram(), 0.99),
	})
	return text
}
