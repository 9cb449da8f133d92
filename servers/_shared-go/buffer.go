package shared

// Buffer holds input: what is before Start has been used, the rest has not.
type Buffer struct {
	Data  []byte
	Start int
}

const (
	InputMax = 96 << 10 // the longest request, plus room to read pipelined ones
	roomMin  = 2 << 10  // an ordinary request fits several times
)

// Unread is what no request has used yet. It stays valid until the buffer is next changed.
func (b *Buffer) Unread() []byte { return b.Data[b.Start:] }

func (b *Buffer) IsEmpty() bool { return b.Start == len(b.Data) }

// Room returns free space to read into; Extend then says how much of it was filled.
func (b *Buffer) Room() []byte {
	if cap(b.Data)-len(b.Data) < roomMin {
		grown := make([]byte, len(b.Data), 2*cap(b.Data)+roomMin)
		copy(grown, b.Data)
		b.Data = grown
	}
	return b.Data[len(b.Data):cap(b.Data)]
}

func (b *Buffer) Extend(n int) { b.Data = b.Data[:len(b.Data)+n] }

// Compact forgets what was used; the memory stays, because the client will be back.
func (b *Buffer) Compact() {
	if b.Start > 0 {
		b.Data = b.Data[:copy(b.Data, b.Data[b.Start:])]
		b.Start = 0
	}
}
