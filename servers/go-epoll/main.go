// go-epoll: c-epoll's loop by hand in Go: one goroutine, one locked thread, one epoll instance, level-triggered.
//
// The lesson is what the runtime's netpoller (see go-net) costs and gives. Without it a connection is a struct of a few
// hundred bytes in a table; no stack, no buffer while idle. A turn is one read and one write that go straight to the kernel,
// and nobody is parked or made runnable in between. In exchange all that reads as straight code in go-net becomes states,
// deadlines and leftovers here, and a second core needs a second process.
//
// The runtime is still there, and the loop must get along with it:
//   - A P is the right to run Go code, and there are as many as CPUs. A system call that blocks must give its P away, or the
//     collector could not stop the world and, on one CPU, nothing else would ever run. syscall.EpollWait tells the
//     scheduler so; a raw call does not. So the loop first asks raw, without waiting, which a busy server nearly always
//     answers; only an idle one goes the long way (sys.go).
//   - recv and send never block here, so they are raw too.
//   - epoll gives back a number, not a pointer: what only the kernel remembers, the collector would free.
//   - The steady state allocates nothing, so the collector has no reason to run; what it scans is one small struct per client.
//   - The thread is locked to the goroutine: no other goroutine moves it between cores or makes it wait its turn there.
//   - signalfd would need every thread's mask, and the runtime makes threads as it likes: a pipe brings the signal.
//
// Needs: Linux 3.2, as Go does. Leaves out: a second core (start several with LAB_REUSEPORT=1), edge triggering, TLS.
// By hand: ln -s ../_shared-go shared && go run . & curl -i 'http://127.0.0.1:8080/delay?ms=500'
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"variant/shared"
)

const (
	variant    = "go-epoll"
	eventsMax  = 512 // per round: many, so that its cost is shared; few enough to stay in cache
	acceptsMax = 64  // per turn: a burst of new clients must not starve those already here
)

// loop is everything; only its goroutine touches it.
type loop struct {
	epoll, listener int
	stopRead        int // the pipe's end that a signal makes readable
	conns           []*conn
	open, held      int
	timers          timers
	now             time.Time // read once per round
	isDraining      bool      // every reply is the connection's last
	acceptAgain     time.Time // after EMFILE; zero: the listener is watched
	in              shared.Buffer
	out             []byte // shared by all turns: an idle connection holds no buffer
	stats           *shared.Stats
	replies         *shared.Replies
}

// ---- the socket --------------------------------------------------------------------------------------

func listen(c shared.Config) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	options := []struct {
		name          string
		level, option int
		isWanted      bool
	}{
		{"SO_REUSEADDR", syscall.SOL_SOCKET, syscall.SO_REUSEADDR, true},
		{"SO_REUSEPORT", syscall.SOL_SOCKET, shared.SoReusePort, c.ReusePort},
		// Linux hands TCP_NODELAY down to accepted sockets: one call here saves one per connection.
		{"TCP_NODELAY", syscall.IPPROTO_TCP, syscall.TCP_NODELAY, true},
	}
	for _, o := range options {
		if !o.isWanted {
			continue
		}
		if err := syscall.SetsockoptInt(fd, o.level, o.option, 1); err != nil {
			return -1, os.NewSyscallError(o.name, err)
		}
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(c.Address.Port()), Addr: c.Address.Addr().As4()}); err != nil {
		return -1, os.NewSyscallError("bind", err)
	}
	// The kernel cuts the backlog to net.core.somaxconn in silence; `ss -ltn` shows what is left (Send-Q).
	return fd, os.NewSyscallError("listen", syscall.Listen(fd, c.Backlog))
}

// watch adds or changes the interest in a descriptor. Adding fails when kernel memory or watches run out.
func (l *loop) watch(operation, fd int, interest uint32) error {
	return syscall.EpollCtl(l.epoll, operation, fd, &syscall.EpollEvent{Events: interest, Fd: int32(fd)})
}

func (l *loop) acceptSome(most int) {
	for ; most > 0; most-- {
		fd, errno := accept(l.listener)
		switch errno {
		case 0:
			l.openConn(fd)
		case syscall.EAGAIN, syscall.EINTR:
			return
		case syscall.ECONNABORTED, syscall.EPROTO:
			l.stats.CountErrno(errno) // that one client left; the next may still be there
		default: // EMFILE, ENFILE, ENOBUFS, ENOMEM: level-triggered epoll would report the same client at once and for ever
			l.stats.CountErrno(errno)
			if !l.isDraining {
				l.watch(syscall.EPOLL_CTL_MOD, l.listener, 0) // cannot fail: changing needs no memory
				l.acceptAgain = l.now.Add(shared.AcceptBackoff)
			}
			return
		}
	}
}

// ---- the loop ----------------------------------------------------------------------------------------

// timeoutMs is how long epoll may sleep: until the first deadline, -1: for ever.
func (l *loop) timeoutMs(drainEnd time.Time) int {
	var first time.Time
	if len(l.timers) > 0 {
		first = l.timers[0].due
	}
	for _, due := range []time.Time{l.acceptAgain, drainEnd} {
		if !due.IsZero() && (first.IsZero() || due.Before(first)) {
			first = due
		}
	}
	if first.IsZero() {
		return -1
	}
	left := first.Sub(l.now)
	return max(0, int((left+time.Millisecond-1)/time.Millisecond)) // up, or the loop would spin through the last one
}

func (l *loop) run(drain time.Duration) error {
	var events [eventsMax]syscall.EpollEvent
	var drainEnd time.Time
	for l.now = time.Now(); !l.isDraining || l.open > 0 && l.now.Before(drainEnd); {
		count, err := wait(l.epoll, events[:], l.timeoutMs(drainEnd))
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("epoll_wait", err)
		}
		l.now = time.Now()
		mustStop := false
		for _, event := range events[:max(count, 0)] { // a turn closes no connection but its own: later events stay valid
			switch fd := int(event.Fd); fd {
			case l.listener:
				l.acceptSome(acceptsMax)
			case l.stopRead:
				mustStop = true
			default:
				l.conns[fd].onEvent(event.Events)
			}
		}
		for len(l.timers) > 0 && !l.timers[0].due.After(l.now) {
			l.timers[0].onTimer()
		}
		if !l.acceptAgain.IsZero() && !l.acceptAgain.After(l.now) {
			l.acceptAgain = time.Time{}
			l.watch(syscall.EPOLL_CTL_MOD, l.listener, syscall.EPOLLIN) // cannot fail either
		}
		if mustStop && !l.isDraining {
			drainEnd = l.now.Add(drain)
			l.drain()
		}
	}
	return nil // whoever is left has had LAB_DRAIN_S
}

// ---- shutdown ----------------------------------------------------------------------------------------

// drain takes in who is already queued, closes the listener and every idle connection. The rest may finish.
func (l *loop) drain() {
	l.isDraining = true
	l.acceptSome(1 << 20)     // closing the listener would reset them
	syscall.Close(l.listener) // best effort
	syscall.Close(l.stopRead) // a second signal changes nothing
	l.listener, l.stopRead = -1, -1
	l.acceptAgain = time.Time{}
	for _, c := range l.conns {
		if c != nil && c.state == reading && len(c.out) == 0 {
			c.read() // serves a request that has just come, or closes
		}
	}
}

// stopPipe returns the end that becomes readable when SIGTERM or SIGINT comes.
func stopPipe() (int, error) {
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		return -1, os.NewSyscallError("pipe2", err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		syscall.Write(ends[1], []byte{0}) // cannot fail: the pipe is empty
	}()
	return ends[0], nil
}

func start(config shared.Config) (*loop, error) {
	l := &loop{stats: shared.NewStats(config.Instance)}
	l.replies = &shared.Replies{
		Variant: variant, Nonce: config.Nonce, Stats: l.stats, Held: func() int { return l.held },
	}
	var err error
	if l.stopRead, err = stopPipe(); err != nil {
		return nil, err
	}
	if l.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if l.listener, err = listen(config); err != nil {
		return nil, err
	}
	for _, fd := range []int{l.listener, l.stopRead} {
		if err = l.watch(syscall.EPOLL_CTL_ADD, fd, syscall.EPOLLIN); err != nil {
			return nil, os.NewSyscallError("epoll_ctl", err)
		}
	}
	return l, nil
}

func main() {
	config := shared.ReadConfig()
	runtime.LockOSThread()
	l, err := start(config)
	if err == nil {
		fmt.Fprintf(os.Stderr, "%s: listening on %s, backlog %d\n", variant, config.Address, config.Backlog)
		err = l.run(config.Drain)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
