package main

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// body takes in one answer's body: it times the first byte and the mark, and keeps the beginning
// for an error message.
type body struct {
	*connection
	outcome *outcome
	kept    []byte
	tail    []byte // of what was seen, where the mark may begin
}

const keptBytes = 300

// see notes the times of a piece of the body.
func (b *body) see(piece []byte) {
	if len(piece) == 0 {
		return
	}
	o := b.outcome
	now := time.Since(b.start)
	if o.firstByte == 0 {
		o.firstByte = now
	}
	if room := keptBytes - len(b.kept); room > 0 {
		b.kept = append(b.kept, piece[:min(room, len(piece))]...)
	}
	mark := b.plan.mark
	if len(mark) == 0 || o.firstMark != 0 {
		return
	}
	b.tail = append(b.tail, piece...)
	if bytes.Contains(b.tail, mark) {
		o.firstMark = now
		b.tail = nil
		return
	}
	b.tail = b.tail[max(0, len(b.tail)-len(mark)+1):]
}

// take reads exactly n bytes of body.
func (b *body) take(n int) error {
	for n > 0 {
		if b.from == b.to {
			if err := b.fill(); err != nil {
				return err
			}
		}
		piece := b.buffer[b.from:min(b.to, b.from+n)]
		b.see(piece)
		b.from += len(piece)
		n -= len(piece)
	}
	return nil
}

func (b *body) readChunks() error {
	for {
		line, err := b.line()
		if err != nil {
			return err
		}
		size, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return fmt.Errorf("chunk size %q", line)
		}
		if err := b.take(int(size)); err != nil {
			return err
		}
		// The empty line behind the chunk, or behind the last one; trailers are not expected.
		if line, err = b.line(); err != nil {
			return err
		}
		if len(line) != 0 {
			return fmt.Errorf("after a chunk came %q", line)
		}
		if size == 0 {
			return nil
		}
	}
}

// line reads up to a line end, which it takes away.
func (b *body) line() ([]byte, error) {
	for {
		if end := bytes.Index(b.buffer[b.from:b.to], []byte("\r\n")); end >= 0 {
			line := b.buffer[b.from : b.from+end]
			b.from += end + 2
			return line, nil
		}
		if err := b.fill(); err != nil {
			return nil, err
		}
	}
}
