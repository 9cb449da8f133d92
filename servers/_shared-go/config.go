// Package shared is what the Go variants have in common: settings, the HTTP parser, replies, counters. Nothing in it
// touches a client's socket, so that a variant's own files show all that distinguishes it.
package shared

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"time"
)

// The contract's limits (servers/CONTRACT.md).
const (
	HeadMax       = 16 << 10 // request line and fields; beyond: 431
	BodyMax       = 64 << 10 // beyond: 413
	DelayMaxMs    = 120_000
	HeadTimeout   = 10 * time.Second // from accept or a request's first byte to the end of its head
	BodyTimeout   = 30 * time.Second // from there to the end of its body
	SendTimeout   = 30 * time.Second // how long a client may refuse to read
	LingerTimeout = 2 * time.Second  // how long input is discarded after a reply that ends a broken connection
	AcceptBackoff = 100 * time.Millisecond
	SoReusePort   = 15 // SO_REUSEPORT; package syscall does not have it for amd64
)

// Config is what the environment says.
type Config struct {
	Address   netip.AddrPort // LAB_HOST, LAB_PORT
	Backlog   int            // LAB_BACKLOG
	Drain     time.Duration  // LAB_DRAIN_S
	ReusePort bool           // LAB_REUSEPORT
	Nonce     string         // LAB_NONCE, or empty: which run started this server
	Instance  *int           // LAB_INSTANCE, or nil: its number among those that share the port
}

func refuse(name, value, expected string) {
	fmt.Fprintf(os.Stderr, "%s: expected %s, got '%s'\n", name, expected, value)
	os.Exit(2)
}

func readInt(name string, fallback, least, most int) int {
	text, isSet := os.LookupEnv(name)
	if !isSet {
		return fallback
	}
	value, err := strconv.Atoi(text)
	if err != nil || value < least || value > most {
		refuse(name, text, fmt.Sprintf("a whole number from %d to %d", least, most))
	}
	return value
}

var nonceForm = regexp.MustCompile(`^[0-9a-f]{16,64}$`) // it goes into a header as it is

// ReadConfig ends the process, with code 2, when a value is bad.
func ReadConfig() Config {
	host, isSet := os.LookupEnv("LAB_HOST")
	if !isSet {
		host = "0.0.0.0"
	}
	address, err := netip.ParseAddr(host)
	if err != nil || !address.Is4() {
		refuse("LAB_HOST", host, "an IPv4 address")
	}
	nonce, isSet := os.LookupEnv("LAB_NONCE")
	if isSet && !nonceForm.MatchString(nonce) {
		refuse("LAB_NONCE", nonce, "16 to 64 hex digits in lower case")
	}
	var instance *int
	if _, isSet := os.LookupEnv("LAB_INSTANCE"); isSet {
		number := readInt("LAB_INSTANCE", 0, 0, 9999)
		instance = &number
	}
	drain := 5.0
	if text, isSet := os.LookupEnv("LAB_DRAIN_S"); isSet {
		drain, err = strconv.ParseFloat(text, 64)
		if err != nil || !(drain >= 0 && drain <= 3600) { // written so that NaN fails
			refuse("LAB_DRAIN_S", text, "seconds from 0 to 3600")
		}
	}
	return Config{
		Address:   netip.AddrPortFrom(address, uint16(readInt("LAB_PORT", 8080, 1, 65535))),
		Backlog:   readInt("LAB_BACKLOG", 4096, 1, 1<<20),
		Drain:     time.Duration(drain * float64(time.Second)),
		ReusePort: readInt("LAB_REUSEPORT", 0, 0, 1) == 1,
		Nonce:     nonce,
		Instance:  instance,
	}
}
