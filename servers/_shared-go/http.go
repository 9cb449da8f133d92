package shared

import "bytes"

// From bytes to whole requests (RFC 9112): the head (head.go), then the body behind it. No I/O.
//
// Strict where a lenient reading could be read differently by another program on the way: what is ambiguous gets 400, not a
// guess. Bodies are handed out whole, so they are limited to 64 KiB.

type Route uint8

const (
	RouteFail Route = iota
	RoutePlain
	RouteDelay
	RouteHold
	RouteRelease
	RouteEcho
	RouteHealthz
	RouteStats
)

type Request struct {
	Route     Route
	KeepAlive bool
	IsBroken  bool // what follows cannot be told apart: reply, discard the rest, close
	IsHead    bool
	IsHTTP10  bool
	Status    int    // with RouteFail
	DelayMs   int    // with RouteDelay
	Allow     string // with status 405
	Body      []byte // inside the input buffer, until that is next changed
}

type stage uint8

const (
	stageHead stage = iota
	stageLength
	stageChunkSize
	stageChunkData
	stageChunkEnd
	stageTrailer
)

// What a step comes to; any other value is the status to refuse with.
const (
	stepDone = 0
	stepMore = 1
)

const chunkLineMax = 256 // a size and its extensions; nobody sends longer ones in good faith

// Parser is one connection's; its zero value is ready. Offsets count from the request's first byte.
type Parser struct {
	scanned    int // of the head: searched for its end so far
	headLen    int
	raw        int // chunked: where the undecoded bytes begin
	bodyLen    int // decoded so far, or the Content-Length
	chunkLeft  int
	trailerLen int

	stage                               stage
	hasHost, hasLength, isChunked       bool
	saysClose, saysKeepAlive            bool
	expectsContinue, hasSaidItContinues bool

	request Request
}

type Parsed uint8

const (
	Nothing  Parsed = iota // read more, then call again
	Continue               // send "100 Continue", then call again
	Complete               // the request is filled in and taken off the input
)

// InBody is true between a head and the end of its body: the body's timeout applies.
func (p *Parser) InBody() bool { return p.stage != stageHead }

// Next takes one request off the input, if all of it is there.
func (p *Parser) Next(in *Buffer, r *Request) Parsed {
	if in.IsEmpty() {
		return Nothing
	}
	step := p.advance(in)
	if step == stepMore {
		if p.InBody() && p.expectsContinue && !p.hasSaidItContinues && len(in.Unread()) == p.headLen {
			p.hasSaidItContinues = true
			return Continue
		}
		return Nothing
	}
	*r = p.request
	if step == stepDone {
		r.Body = in.Unread()[p.headLen : p.headLen+p.bodyLen]
		in.Start += p.raw
	} else {
		r.Route, r.Status, r.IsBroken, r.KeepAlive = RouteFail, step, true, false
		in.Start = len(in.Data)
	}
	*p = Parser{}
	return Complete
}

func (p *Parser) advance(in *Buffer) int {
	if p.stage == stageHead {
		step := p.findEnd(in.Unread())
		for step == stepDone && p.headLen == 2 { // an empty line before a request is skipped (RFC 9112, 2.2)
			in.Start += 2
			p.scanned, p.headLen = 0, 0
			step = p.findEnd(in.Unread())
		}
		if step == stepDone {
			step = p.parseHead(in.Unread()[:p.headLen])
		}
		if step != stepDone {
			return step
		}
		p.raw = p.headLen
		p.stage = stageLength
		if p.isChunked {
			p.stage = stageChunkSize
		}
	}
	unread := in.Unread()
	if p.stage == stageLength {
		p.raw = p.headLen + p.bodyLen
		if len(unread) < p.raw {
			return stepMore
		}
		return stepDone
	}
	step := p.decodeChunks(unread)
	if step == stepMore { // close the gap that decoding left, so that framing cannot grow the buffer
		end := p.headLen + p.bodyLen
		in.Data = in.Data[:in.Start+end+copy(unread[end:], unread[p.raw:])]
		p.raw = end
	}
	return step
}

// decodeChunks works in place, so that the body lies whole behind the head.
func (p *Parser) decodeChunks(in []byte) int {
	for {
		left := in[p.raw:]
		switch p.stage {
		case stageChunkData:
			take := copy(in[p.headLen+p.bodyLen:], left[:min(len(left), p.chunkLeft)])
			p.bodyLen += take
			p.chunkLeft -= take
			p.raw += take
			if p.chunkLeft > 0 {
				return stepMore
			}
			p.stage = stageChunkEnd
			continue
		case stageChunkEnd:
			if len(left) > 0 && left[0] != '\r' || len(left) > 1 && left[1] != '\n' {
				return 400
			}
			if len(left) < 2 {
				return stepMore
			}
			p.raw += 2
			p.stage = stageChunkSize
			continue
		}
		// a size line or a trailer line
		lf := bytes.IndexByte(left, '\n')
		if lf < 0 {
			if p.stage == stageChunkSize && len(left) > chunkLineMax {
				return 400
			}
			if p.stage == stageTrailer && p.trailerLen+len(left) > HeadMax {
				return 431
			}
			return stepMore
		}
		if lf == 0 || left[lf-1] != '\r' {
			return 400
		}
		p.raw += lf + 1
		if p.stage == stageChunkSize {
			if lf > chunkLineMax {
				return 400
			}
			if step := p.parseChunkSize(left[:lf-1]); step != stepDone {
				return step
			}
			p.stage = stageTrailer
			if p.chunkLeft > 0 {
				p.stage = stageChunkData
			}
			continue
		}
		if lf == 1 { // the empty line behind the trailers
			return stepDone
		}
		if p.trailerLen += lf + 1; p.trailerLen > HeadMax {
			return 431
		}
		if _, _, _, ok := splitField(left[:lf+1]); !ok { // trailers are checked and dropped
			return 400
		}
	}
}

func (p *Parser) parseChunkSize(line []byte) int {
	size, i := 0, 0
	for ; i < len(line); i++ {
		digit := line[i] - '0'
		if letter := line[i] | 0x20; letter >= 'a' && letter <= 'f' { // | 0x20 makes a letter small
			digit = letter - 'a' + 10
		} else if digit > 9 {
			break
		}
		if i >= 8 { // nine digits no longer fit 32 bits
			return 400
		}
		size = size<<4 | int(digit)
	}
	if i == 0 || i < len(line) && line[i] != ';' {
		return 400
	}
	for _, c := range line[i:] {
		if c < ' ' && c != '\t' || c == 127 {
			return 400
		}
	}
	if size > BodyMax-p.bodyLen {
		return 413
	}
	p.chunkLeft = size
	return stepDone
}
