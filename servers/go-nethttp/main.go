// go-nethttp: Go's standard web server, used as its authors intend.
//
// Each connection has a goroutine, which blocks as a thread would; beneath, the runtime parks it and one epoll instance
// waits for all sockets (the "netpoller"). The handlers below are therefore written as if each had the machine to itself.
// Parsing, keep-alive, Date, pipelining and the watch for a client that leaves are net/http's work.
//
// Needs: Linux 3.2, as Go does. Leaves out: TLS, HTTP/2; where net/http is laxer than the contract, variant.toml says so.
// By hand: ln -s ../_shared-go shared && go run . & curl -i 'http://127.0.0.1:8080/delay?ms=500'
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"variant/shared"
)

const (
	variant         = "go-nethttp"
	headSlopBytes   = 4 << 10 // what net/http allows beyond MaxHeaderBytes
	discardMaxBytes = 8 << 20 // of a refused body: enough for an honest client to finish and read why
)

var stats *shared.Stats

// ---- replies -------------------------------------------------------------------------------------

func reply(w http.ResponseWriter, status int, contentType string, body []byte) {
	header := w.Header()
	header["Content-Type"] = []string{contentType} // spelled as net/http would, which saves spelling it anew
	header["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	w.Write(body) // best effort: whoever left cannot be told
}

var hello = []byte("Hello, world!")

func plain(w http.ResponseWriter, r *http.Request) { reply(w, 200, "text/plain", hello) }

// A handler that returns without writing sends an empty 200; this ends the connection instead.
func abandon() { panic(http.ErrAbortHandler) }

func delay(w http.ResponseWriter, r *http.Request) {
	ms, err := strconv.ParseUint(r.URL.Query().Get("ms"), 10, 32)
	if err != nil || ms > shared.DelayMaxMs {
		reply(w, 400, "text/plain", []byte("ms: expected 0 to 120000\n"))
		return
	}
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		plain(w, r)
	case <-r.Context().Done(): // the client left
		abandon()
	}
}

// gate holds clients until it opens; then a new gate takes its place.
type gate struct {
	mu      sync.Mutex
	open    chan struct{}
	waiting int
}

func (g *gate) hold(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	open := g.open
	g.waiting++
	g.mu.Unlock()
	select {
	case <-open:
		plain(w, r)
	case <-r.Context().Done():
		g.mu.Lock()
		if open == g.open { // otherwise it has been counted as released already
			g.waiting--
		}
		g.mu.Unlock()
		abandon()
	}
}

func (g *gate) release(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	released := g.waiting
	close(g.open)
	g.open, g.waiting = make(chan struct{}), 0
	g.mu.Unlock()
	reply(w, 200, "application/json", fmt.Appendf(nil, `{"released": %d}`, released))
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}

func echo(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(shared.BodyTimeout)) // best effort, like its reset
	var body []byte
	var err error
	if r.ContentLength <= shared.BodyMax {
		body, err = io.ReadAll(io.LimitReader(r.Body, shared.BodyMax+1))
	}
	switch {
	case err != nil && errors.Is(err, os.ErrDeadlineExceeded):
		abandon()
	case err != nil:
		w.Header().Set("Connection", "close")
		reply(w, 400, "text/plain", []byte("the body is malformed or incomplete\n"))
	case r.ContentLength > shared.BodyMax || len(body) > shared.BodyMax:
		refuseBody(w, r, control)
	default:
		control.SetReadDeadline(time.Time{})
		reply(w, 200, "application/octet-stream", body)
	}
}

// Replies first and then discards, because closing with unread input would make the kernel send a reset that can
// overtake the reply. Full duplex, or net/http would read on by itself before the reply.
func refuseBody(w http.ResponseWriter, r *http.Request, control *http.ResponseController) {
	control.EnableFullDuplex() // best effort, like all here
	w.Header().Set("Connection", "close")
	reply(w, 413, "text/plain", []byte("at most 65536 bytes\n"))
	control.Flush()
	control.SetReadDeadline(time.Now().Add(shared.LingerTimeout))
	io.Copy(io.Discard, io.LimitReader(r.Body, discardMaxBytes))
}

func routes(nonce string) *http.ServeMux {
	held := &gate{open: make(chan struct{})}
	mux := http.NewServeMux() // answers 404 and 405 by itself
	mux.HandleFunc("GET /plain", plain)
	mux.HandleFunc("GET /delay", delay)
	mux.HandleFunc("GET /hold", held.hold)
	mux.HandleFunc("POST /release", held.release)
	mux.HandleFunc("POST /echo", echo)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if nonce != "" {
			w.Header().Set("Lab-Nonce", nonce)
		}
		reply(w, 200, "text/plain", []byte("ok\n"))
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, r *http.Request) {
		reply(w, 200, "application/json", stats.JSON(variant, held.count()))
	})
	return mux
}

// ---- the loop is net/http's; these are its settings ------------------------------------------------

func newServer(nonce string) *http.Server {
	mux := routes(nonce)
	name := []string{variant}
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			stats.Requests.Add(1)
			w.Header()["Server"] = name
			mux.ServeHTTP(w, r)
			connOf(r).isBusy.Store(false)
		}),
		ReadHeaderTimeout: shared.HeadTimeout,
		IdleTimeout:       -1, // a silent client between two requests may stay
		MaxHeaderBytes:    shared.HeadMax - headSlopBytes,
		ConnState:         trackState,
		ConnContext:       withConn,
	}
}

func main() {
	config := shared.ReadConfig()
	stats = shared.NewStats(config.Instance)
	listener, err := listen(config)
	if err != nil {
		fmt.Fprintln(os.Stderr, "listen:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "%s: listening on %s, backlog %d\n", variant, listener.Addr(), config.Backlog)

	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	server := newServer(config.Nonce)
	drained := make(chan struct{})
	go func() {
		<-stop.Done()
		limit, cancel := context.WithTimeout(context.Background(), config.Drain)
		defer cancel()
		hurryNew()             // Shutdown would give connections that have not asked anything five seconds
		server.Shutdown(limit) // whoever is left after the limit ends with the process
		close(drained)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
	<-drained
}
