package shared

import (
	"bytes"
	"strconv"
)

// tchar of RFC 9110, section 5.6.2
var isTokenChar = func() (is [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		is[c] = true
	}
	return is
}()

// isWord compares without case; word: in small letters.
func isWord(s []byte, word string) bool {
	if len(s) != len(word) {
		return false
	}
	for i := range s {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// findEnd goes from line feed to line feed, so that a bare one is refused as soon as it arrives and a head sent byte by
// byte is searched only once.
func (p *Parser) findEnd(in []byte) int {
	for {
		i := bytes.IndexByte(in[p.scanned:], '\n')
		if i < 0 {
			break
		}
		i += p.scanned
		if i == 0 || in[i-1] != '\r' {
			return 400
		}
		p.scanned = i + 1
		if i == 1 || in[i-2] == '\n' { // an empty line
			p.headLen = p.scanned
			if p.headLen > HeadMax {
				return 431
			}
			return stepDone
		}
	}
	p.scanned = len(in)
	if len(in) > HeadMax {
		return 431
	}
	return stepMore
}

// parseHead takes a whole head, from the request line to the empty line inclusive.
func (p *Parser) parseHead(head []byte) int {
	lineEnd := bytes.IndexByte(head, '\n') // present: findEnd saw it, behind a \r
	if step := p.parseRequestLine(head[:lineEnd-1]); step != stepDone {
		return step
	}
	fields := head[lineEnd+1 : len(head)-2]
	for len(fields) > 0 {
		name, value, rest, ok := splitField(fields)
		if !ok {
			return 400
		}
		if step := p.useField(name, value); step != stepDone {
			return step
		}
		fields = rest
	}
	r := &p.request
	r.KeepAlive = !p.saysClose && (!r.IsHTTP10 || p.saysKeepAlive)
	switch {
	case !p.hasHost && !r.IsHTTP10:
		return 400
	case p.isChunked && (p.hasLength || r.IsHTTP10): // two framings: the classic way to smuggle a request
		return 400
	case p.bodyLen > BodyMax:
		return 413
	}
	return stepDone
}

func (p *Parser) parseRequestLine(line []byte) int {
	i := 0
	for i < len(line) && isTokenChar[line[i]] {
		i++
	}
	method := line[:i]
	if i == 0 || i == len(line) || line[i] != ' ' {
		return 400
	}
	first := i + 1
	for i = first; i < len(line) && line[i] > ' ' && line[i] < 127; i++ {
	}
	target := line[first:i]
	if len(target) == 0 || i == len(line) || line[i] != ' ' {
		return 400
	}
	switch version := line[i+1:]; {
	case string(version) == "HTTP/1.1":
	case string(version) == "HTTP/1.0":
		p.request.IsHTTP10 = true
	case len(version) == 8 && string(version[:5]) == "HTTP/" && version[6] == '.':
		return 505
	default:
		return 400
	}
	if len(target) > 7 && isWord(target[:7], "http://") { // absolute form: only its path matters here
		slash := bytes.IndexByte(target[7:], '/')
		if slash < 0 {
			target = []byte("/")
		} else {
			target = target[7+slash:]
		}
	}
	path, query, _ := bytes.Cut(target, []byte("?"))
	p.chooseRoute(method, path, query)
	return stepDone
}

func (p *Parser) chooseRoute(method, path, query []byte) {
	r := &p.request
	isPost := false
	switch string(path) { // the compiler allocates nothing for this
	case "/plain":
		r.Route = RoutePlain
	case "/delay":
		r.Route = RouteDelay
	case "/hold":
		r.Route = RouteHold
	case "/healthz":
		r.Route = RouteHealthz
	case "/stats":
		r.Route = RouteStats
	case "/echo":
		r.Route, isPost = RouteEcho, true
	case "/release":
		r.Route, isPost = RouteRelease, true
	default:
		r.Status = 404
		return
	}
	r.IsHead = string(method) == "HEAD"
	if isPost && string(method) != "POST" {
		r.Route, r.Status, r.Allow = RouteFail, 405, "POST"
	} else if !isPost && !r.IsHead && string(method) != "GET" {
		r.Route, r.Status, r.Allow = RouteFail, 405, "GET, HEAD"
	} else if r.Route == RouteDelay {
		if r.DelayMs = readDelayMs(query); r.DelayMs < 0 {
			r.Route, r.Status = RouteFail, 400
		}
	}
}

// readDelayMs finds ms=N among the query's pairs; the first one counts. -1: missing, out of range or not a number.
func readDelayMs(query []byte) int {
	for len(query) > 0 {
		pair, rest, _ := bytes.Cut(query, []byte("&"))
		query = rest
		digits, isMs := bytes.CutPrefix(pair, []byte("ms="))
		if !isMs {
			continue
		}
		ms, err := strconv.ParseUint(string(digits), 10, 32)
		if err != nil || ms > DelayMaxMs {
			return -1
		}
		return int(ms)
	}
	return -1
}

// splitField takes "name: value\r\n" off the front. A folded line begins with a space, which no name does.
func splitField(from []byte) (name, value, rest []byte, ok bool) {
	i := 0
	for i < len(from) && isTokenChar[from[i]] {
		i++
	}
	if i == 0 || i == len(from) || from[i] != ':' {
		return nil, nil, nil, false
	}
	name = from[:i]
	first := i + 1
	for i = first; i < len(from) && (from[i] >= ' ' && from[i] != 127 || from[i] == '\t'); i++ {
	}
	if len(from)-i < 2 || from[i] != '\r' || from[i+1] != '\n' { // NUL, another control, or a CR alone
		return nil, nil, nil, false
	}
	return name, trim(from[first:i]), from[i+2:], true
}

func trim(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

func (p *Parser) useField(name, value []byte) int {
	switch len(name) { // most fields are told apart by length alone
	case 4:
		if isWord(name, "host") {
			if p.hasHost {
				return 400
			}
			p.hasHost = true
		}
	case 6:
		if isWord(name, "expect") && isWord(value, "100-continue") && !p.request.IsHTTP10 { // RFC 9110, 10.1.1
			p.expectsContinue = true
		}
	case 10:
		if isWord(name, "connection") {
			for option := range bytes.SplitSeq(value, []byte(",")) {
				option = trim(option)
				p.saysClose = p.saysClose || isWord(option, "close")
				p.saysKeepAlive = p.saysKeepAlive || isWord(option, "keep-alive")
			}
		}
	case 14:
		if isWord(name, "content-length") {
			return p.useContentLength(value)
		}
	case 17:
		if isWord(name, "transfer-encoding") {
			if p.isChunked {
				return 400
			}
			if !isWord(value, "chunked") {
				return 501
			}
			p.isChunked = true
		}
	}
	return stepDone
}

func (p *Parser) useContentLength(value []byte) int {
	if len(value) == 0 || len(value) > 18 { // 18 digits cannot overflow 64 bits
		return 400
	}
	length := 0
	for _, c := range value {
		if c < '0' || c > '9' { // strconv would take "+5"
			return 400
		}
		length = length*10 + int(c-'0')
	}
	length = min(length, BodyMax+1)
	if p.hasLength && p.bodyLen != length {
		return 400
	}
	p.hasLength, p.bodyLen = true, length
	return stepDone
}
