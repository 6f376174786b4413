package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// request is the little of an HTTP request that the mock needs.
type request struct {
	path  string
	body  []byte
	close bool
}

const maxBody = 64 << 20

var notFound = []byte("HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")

func serve(listener net.Listener, table *routes) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go serveConn(conn, table)
	}
}

// serveConn answers the requests of one keep-alive connection until the peer leaves.
func serveConn(conn net.Conn, table *routes) {
	defer conn.Close()
	reader := bufio.NewReaderSize(conn, 16<<10)
	var body []byte
	for {
		req, err := readRequest(reader, conn, body)
		if err != nil {
			return
		}
		body = req.body
		if failing := active.Load(); failing != nil {
			answered, ending := (*failing)(conn)
			if ending {
				return
			}
			if answered {
				continue
			}
		}
		if err := reply(conn, table.find(req.path), req); err != nil || req.close {
			return
		}
	}
}

func reply(conn net.Conn, to *route, req request) error {
	if to == nil {
		_, err := conn.Write(notFound)
		return err
	}
	if to.pace.firstByte > 0 {
		time.Sleep(to.pace.firstByte)
	}
	if !to.isStream(req.path, req.body) {
		_, err := conn.Write(to.whole)
		return err
	}
	for n, part := range to.writes {
		if n > 0 && to.pace.between > 0 {
			time.Sleep(to.pace.between)
		}
		if _, err := conn.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// readRequest reads one request; the body reuses buf's memory.
func readRequest(reader *bufio.Reader, conn net.Conn, buf []byte) (request, error) {
	line, err := reader.ReadSlice('\n')
	if err != nil {
		return request{}, err
	}
	parts := strings.SplitN(string(line), " ", 3)
	if len(parts) != 3 {
		return request{}, errors.New("not a request line")
	}
	req := request{path: parts[1]}
	length, chunked := 0, false
	for {
		line, err = reader.ReadSlice('\n')
		if err != nil {
			return request{}, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found {
			return request{}, errors.New("not a header line")
		}
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 || length > maxBody {
				return request{}, fmt.Errorf("content-length %q", value)
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("connection")):
			req.close = bytes.EqualFold(value, []byte("close"))
		case bytes.EqualFold(name, []byte("expect")):
			if _, err = conn.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
				return request{}, err
			}
		}
	}
	if chunked {
		req.body, err = readChunked(reader, buf[:0])
		return req, err
	}
	if cap(buf) < length {
		buf = make([]byte, length)
	}
	req.body = buf[:length]
	_, err = io.ReadFull(reader, req.body)
	return req, err
}

func readChunked(reader *bufio.Reader, body []byte) ([]byte, error) {
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		size, err := strconv.ParseUint(string(bytes.TrimRight(line, "\r\n")), 16, 31)
		if err != nil || int(size)+len(body) > maxBody {
			return nil, fmt.Errorf("chunk size %q", line)
		}
		start := len(body)
		body = append(body, make([]byte, size+2)...)
		if _, err = io.ReadFull(reader, body[start:]); err != nil {
			return nil, err
		}
		body = body[:start+int(size)]
		if size == 0 {
			return body, nil
		}
	}
}
