// bare-go: what a model costs when nothing else is done; BARE_MODEL says which. Every request gets the contract's answer to
// GET /plain, whatever it asked: no parser (but net/http's, where that is the model), no limits of time, no counters, no drain.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"variant/shared"
)

var (
	text atomic.Pointer[[]byte] // the whole reply, made anew each second
	end  = []byte("\r\n\r\n")
)

func renew() {
	date := time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
	made := []byte("HTTP/1.1 200 OK\r\nServer: bare-go\r\nDate: " + date +
		"\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!")
	text.Store(&made)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bare-go:", err)
		os.Exit(1)
	}
}

// asks tells whether a request ends here; nothing else is looked at.
func asks(data []byte) bool { return len(data) >= 4 && string(data[len(data)-4:]) == string(end) }

// ---- a goroutine per connection ------------------------------------------------------------------------

func serveNet(listener *net.TCPListener) {
	for {
		conn, err := listener.AcceptTCP()
		must(err)
		go func() {
			defer conn.Close()
			input := make([]byte, 4096)
			for {
				n, err := conn.Read(input)
				if err != nil {
					return
				}
				if asks(input[:n]) {
					if _, err := conn.Write(*text.Load()); err != nil {
						return
					}
				}
			}
		}()
	}
}

// ---- net/http, with the least a handler can do: Date is its own ------------------------------------------

func serveHTTP(listener *net.TCPListener) {
	body := []byte("Hello, world!")
	name, kind, length := []string{"bare-go"}, []string{"text/plain"}, []string{"13"}
	must(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header["Server"], header["Content-Type"], header["Content-Length"] = name, kind, length
		w.Write(body)
	})))
}

// ---- one loop by hand ----------------------------------------------------------------------------------

func serveEpoll(listener *net.TCPListener) {
	file, err := listener.File()
	must(err)
	defer runtime.KeepAlive(file) // or the collector would close it
	runtime.LockOSThread()
	listen := int(file.Fd())
	must(syscall.SetNonblock(listen, true))
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	must(err)
	watch := func(fd int) {
		must(syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}))
	}
	watch(listen)
	events, input := make([]syscall.EpollEvent, 512), make([]byte, 4096)
	for {
		n, err := wait(epoll, events)
		if err != nil && err != syscall.EINTR {
			must(err)
		}
		for i := range max(n, 0) {
			fd := int(events[i].Fd)
			if fd == listen {
				for {
					client, _, err := syscall.Accept4(listen, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
					if err != nil {
						break
					}
					watch(client)
				}
				continue
			}
			got := receive(fd, input)
			if got <= 0 || asks(input[:got]) && send(fd, *text.Load()) < 0 {
				syscall.Close(fd)
			}
		}
	}
}

func main() {
	models := map[string]func(*net.TCPListener){"net": serveNet, "nethttp": serveHTTP, "epoll": serveEpoll}
	serve, isKnown := models[os.Getenv("BARE_MODEL")]
	if !isKnown {
		fmt.Fprintf(os.Stderr, "BARE_MODEL: expected net, nethttp or epoll, got '%s'\n", os.Getenv("BARE_MODEL"))
		os.Exit(2)
	}
	config := shared.ReadConfig()
	listener, err := shared.Listen(config)
	must(err)
	renew()
	go func() {
		for range time.Tick(time.Second) {
			renew()
		}
	}()
	fmt.Fprintf(os.Stderr, "bare-go: listening on %s, backlog %d\n", listener.Addr(), config.Backlog)
	serve(listener)
}
