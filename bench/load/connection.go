package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// connection is one keep-alive connection. It is opened when first needed, and again after an error.
// The answer is read by hand: net/http would cost more than what is measured.
type connection struct {
	plan  *plan
	start time.Time
	conn  net.Conn
	// Bytes read and not yet used lie in buffer[from:to].
	buffer   [64 << 10]byte
	from, to int
}

var (
	errHeadTooLong = errors.New("the answer's head is longer than the buffer")
	errNoLength    = errors.New("the answer has neither content-length nor chunks")
)

// send writes the request; an error is kept for receive, which every send is followed by.
func (c *connection) send(what *call, o *outcome) {
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", c.plan.address, c.plan.timeout)
		if err != nil {
			o.err = err
			return
		}
		c.conn, c.from, c.to = conn, 0, 0
	}
	o.sent = time.Since(c.start)
	if o.err = c.conn.SetDeadline(time.Now().Add(c.plan.timeout)); o.err == nil {
		_, o.err = c.conn.Write(what.rendered)
	}
}

// receive reads one whole answer and fills in its times.
func (c *connection) receive(o *outcome) {
	if o.err == nil {
		o.err = c.answer(o)
	}
	o.done = time.Since(c.start)
	if o.err != nil {
		c.shut()
	}
}

func (c *connection) shut() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *connection) answer(o *outcome) error {
	head, err := c.head()
	if err != nil {
		return err
	}
	length, chunked, err := framing(head)
	if err != nil {
		return err
	}
	if len(c.plan.note) > 0 {
		o.noted = string(field(head, c.plan.note))
	}
	body := &body{connection: c, outcome: o}
	switch {
	case chunked:
		err = body.readChunks()
	case length >= 0:
		err = body.take(length)
	default:
		err = errNoLength
	}
	if err == nil && !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		line, _, _ := bytes.Cut(head, []byte("\r\n"))
		return fmt.Errorf("answered %q: %.300s", line, body.kept)
	}
	return err
}

// head reads up to the empty line, which it takes away.
func (c *connection) head() ([]byte, error) {
	for {
		if end := bytes.Index(c.buffer[c.from:c.to], []byte("\r\n\r\n")); end >= 0 {
			head := bytes.Clone(c.buffer[c.from : c.from+end])
			c.from += end + 4
			return head, nil
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// fill reads what has arrived behind what is already there.
func (c *connection) fill() error {
	if c.from == c.to {
		c.from, c.to = 0, 0
	}
	if c.to == len(c.buffer) {
		copy(c.buffer[:], c.buffer[c.from:c.to])
		c.from, c.to = 0, c.to-c.from
		if c.to == len(c.buffer) {
			return errHeadTooLong
		}
	}
	n, err := c.conn.Read(c.buffer[c.to:])
	c.to += n
	if n > 0 {
		return nil
	}
	return err
}

// field is the value of a header field; empty where there is none.
func field(head, wanted []byte) []byte {
	for _, line := range bytes.Split(head, []byte("\r\n"))[1:] {
		if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, wanted) {
			return bytes.TrimSpace(value)
		}
	}
	return nil
}

// framing is the body's length (-1 where the head names none) and whether it comes in chunks.
func framing(head []byte) (length int, chunked bool, err error) {
	length = -1
	for _, line := range bytes.Split(head, []byte("\r\n"))[1:] {
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, false, err
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		}
	}
	return length, chunked, nil
}
