package shared

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// Replies renders what a variant says. Safe for use by many goroutines.
type Replies struct {
	Variant string
	Nonce   string
	Stats   *Stats
	Held    func() int // clients waiting in /hold, for /stats
	dated   atomic.Pointer[datedLines]
}

// datedLines is "Server: x\r\nDate: y\r\n", rebuilt once per second: formatting a date costs more than everything else in
// a small reply. A new one replaces the old one, so readers need no lock.
type datedLines struct {
	second int64
	text   string
}

func (s *Replies) serverAndDate() string {
	now := time.Now()
	lines := s.dated.Load()
	if lines == nil || lines.second != now.Unix() {
		date := now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
		lines = &datedLines{now.Unix(), "Server: " + s.Variant + "\r\nDate: " + date + "\r\n"}
		s.dated.Store(lines)
	}
	return lines.text
}

func statusLine(status int) string {
	switch status {
	case 200:
		return "HTTP/1.1 200 OK\r\n"
	case 404:
		return "HTTP/1.1 404 Not Found\r\n"
	case 405:
		return "HTTP/1.1 405 Method Not Allowed\r\n"
	case 413:
		return "HTTP/1.1 413 Content Too Large\r\n"
	case 431:
		return "HTTP/1.1 431 Request Header Fields Too Large\r\n"
	case 501:
		return "HTTP/1.1 501 Not Implemented\r\n"
	case 505:
		return "HTTP/1.1 505 HTTP Version Not Supported\r\n"
	}
	return "HTTP/1.1 400 Bad Request\r\n"
}

// Append adds the reply to everything but POST /release.
func (s *Replies) Append(out []byte, r *Request) []byte {
	switch r.Route {
	case RouteFail:
		return appendReply(s, out, r, r.Status, "text/plain", "")
	case RouteEcho:
		return appendReply(s, out, r, 200, "application/octet-stream", r.Body)
	case RouteHealthz:
		return appendReply(s, out, r, 200, "text/plain", "ok\n")
	case RouteStats:
		return appendReply(s, out, r, 200, "application/json", s.Stats.JSON(s.Variant, s.Held()))
	}
	return appendReply(s, out, r, 200, "text/plain", "Hello, world!")
}

func (s *Replies) AppendReleased(out []byte, r *Request, released int) []byte {
	return appendReply(s, out, r, 200, "application/json", fmt.Sprintf(`{"released": %d}`, released))
}

func AppendContinue(out []byte) []byte { return append(out, "HTTP/1.1 100 Continue\r\n\r\n"...) }

func appendReply[Text string | []byte](s *Replies, out []byte, r *Request, status int, contentType string, body Text) []byte {
	out = append(out, statusLine(status)...)
	out = append(out, s.serverAndDate()...)
	out = append(out, "Content-Type: "...)
	out = append(out, contentType...)
	out = append(out, "\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(body)), 10)
	if status == 405 {
		out = append(append(out, "\r\nAllow: "...), r.Allow...)
	}
	if r.Route == RouteHealthz && s.Nonce != "" {
		out = append(append(out, "\r\nLab-Nonce: "...), s.Nonce...)
	}
	if !r.KeepAlive {
		out = append(out, "\r\nConnection: close"...)
	} else if r.IsHTTP10 {
		out = append(out, "\r\nConnection: keep-alive"...)
	}
	out = append(out, "\r\n\r\n"...)
	if !r.IsHead {
		out = append(out, body...)
	}
	return out
}
