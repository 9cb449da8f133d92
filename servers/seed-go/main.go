// seed-go: the plainest Go web server. Every request sleeps a minute and then says hello.
//
// net/http gives each connection a goroutine, so a thousand sleeping handlers cost a thousand small stacks and no
// threads: the runtime parks them, and its poller (epoll on Linux) waits for all sockets at once. That is the whole point
// of the specimen; everything else is left at net/http's defaults.
//
// Needs: Linux 3.2, as Go does. Leaves out on purpose: timeouts, limits, statistics, draining. A client that leaves is not
// noticed: its handler sleeps on. SIGTERM ends the process at once, as the runtime does by itself.
// By hand: LAB_DELAY_MS=500 go run . & curl -i http://127.0.0.1:8080/
package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

func getenv(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

func main() {
	delayMs, err := strconv.Atoi(getenv("LAB_DELAY_MS", "60000"))
	if err != nil || delayMs < 0 {
		log.Print("LAB_DELAY_MS: expected whole milliseconds, got '", os.Getenv("LAB_DELAY_MS"), "'")
		os.Exit(2)
	}

	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Duration(delayMs) * time.Millisecond)
		io.WriteString(w, "Hello, world!") // best effort: whoever left cannot be told
	})

	address := net.JoinHostPort(getenv("LAB_HOST", "0.0.0.0"), getenv("LAB_PORT", "8080"))
	log.Print("seed-go: listening on ", address)
	log.Fatal(http.ListenAndServe(address, nil))
}
