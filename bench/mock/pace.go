package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// pace is how an answer is written: how long until its first byte, how long between two writes of a
// stream, and how many events one write holds (0 = all of them).
//
// The flags set the default. A request changes it by the first segment of its path, so that one
// mock serves every workload of a run: /events-per-write=0,between=20ms/v1/responses.
type pace struct {
	firstByte      time.Duration
	between        time.Duration
	eventsPerWrite int
}

// parsePace reads the options of a path's first segment over a default. A segment without '=' is
// an ordinary path, which changes nothing.
func parsePace(path string, p pace) (pace, error) {
	segment, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !strings.Contains(segment, "=") {
		return p, nil
	}
	for _, option := range strings.Split(segment, ",") {
		name, value, _ := strings.Cut(option, "=")
		var err error
		switch name {
		case "first-byte":
			p.firstByte, err = time.ParseDuration(value)
		case "between":
			p.between, err = time.ParseDuration(value)
		case "events-per-write":
			p.eventsPerWrite, err = strconv.Atoi(value)
		default:
			err = fmt.Errorf("unknown option %q", name)
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// answer is what one wire format says, chosen by path.
type answer struct {
	matches     func(path string) bool
	isStream    func(path string, body []byte) bool
	headers     string
	contentType string // of the stream
	whole       []byte
	events      [][]byte
}

// route is an answer rendered for one path: the bytes of each write.
type route struct {
	pace     pace
	isStream func(path string, body []byte) bool
	whole    []byte
	writes   [][]byte
}

// routes renders an answer the first time its path is asked for.
type routes struct {
	answers  []answer
	fallback pace
	mutex    sync.RWMutex
	byPath   map[string]*route
}

func newRoutes(answers []answer, fallback pace) *routes {
	return &routes{answers: answers, fallback: fallback, byPath: map[string]*route{}}
}

// find is the route of a path, nil where no wire format has it.
func (r *routes) find(path string) *route {
	r.mutex.RLock()
	found, known := r.byPath[path]
	r.mutex.RUnlock()
	if known {
		return found
	}
	found = r.render(path)
	r.mutex.Lock()
	r.byPath[path] = found
	r.mutex.Unlock()
	return found
}

func (r *routes) render(path string) *route {
	p, err := parsePace(path, r.fallback)
	if err != nil {
		return nil
	}
	for i := range r.answers {
		a := &r.answers[i]
		if a.matches(path) {
			return &route{
				pace:     p,
				isStream: a.isStream,
				whole:    renderWhole(a.headers, a.whole),
				writes:   renderStream(a, p.eventsPerWrite),
			}
		}
	}
	return nil
}

// renderWhole is a JSON answer with its head.
func renderWhole(headers string, body []byte) []byte {
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n",
		headers, len(body))
	return append([]byte(head), body...)
}

// renderStream groups events into writes; every event stays an HTTP chunk of its own. The head goes
// with the first write and the closing chunk with the last, as the buffering of real servers does.
func renderStream(a *answer, eventsPerWrite int) [][]byte {
	if eventsPerWrite <= 0 {
		eventsPerWrite = len(a.events)
	}
	current := []byte(fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-type: %s\r\n%stransfer-encoding: chunked\r\n\r\n",
		a.contentType, a.headers))
	var writes [][]byte
	for n, event := range a.events {
		current = append(current, fmt.Sprintf("%x\r\n", len(event))...)
		current = append(append(current, event...), "\r\n"...)
		last := n == len(a.events)-1
		if last {
			current = append(current, "0\r\n\r\n"...)
		}
		if last || (n+1)%eventsPerWrite == 0 {
			writes = append(writes, current)
			current = nil
		}
	}
	return writes
}
