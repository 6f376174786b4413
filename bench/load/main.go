// Command load sends requests at a fixed rate, or as fast as a fixed number of connections allows,
// and writes every latency down.
//
// At a fixed rate it is an open loop: request n is due at start + n/rate whether or not the earlier
// ones have been answered, and its latency counts from that moment. A gateway that stalls for a
// second is therefore charged with a second for each request that was due in it, where a closed
// loop would leave them out (coordinated omission). The file of calls has one JSON object a line,
// used in turn: {"path": "/v1/responses", "headers": {"authorization": "…"}, "body": "{…}"}.
// SIGTERM ends a run at a fixed rate early: what was sent is awaited and reported.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// call is one line of the calls file.
type call struct {
	Path     string            `json:"path"`
	Headers  map[string]string `json:"headers"`
	Body     string            `json:"body"`
	rendered []byte
}

// report is what the command prints: one JSON object. Latencies are in microseconds, in the order
// of the requests' due times; failed requests have none.
type report struct {
	Requests    int      `json:"requests"`
	Errors      int      `json:"errors"`
	FirstErrors []string `json:"first_errors"`
	Seconds     float64  `json:"seconds"`
	// LateUS is how late the generator itself sent each request, its part in the latency.
	LateUS      []uint32 `json:"late_us"`
	LatencyUS   []uint32 `json:"latency_us"`
	FirstByteUS []uint32 `json:"first_byte_us"`
	// FirstMarkUS is the time to the first byte string given by -mark, 0 where it did not occur.
	FirstMarkUS []uint32 `json:"first_mark_us"`
	// FirstSeen tells for each value of the header given by -note when the first answer with it was
	// there, in microseconds of Unix time.
	FirstSeen map[string]int64 `json:"first_seen"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run() error {
	address := flag.String("address", "", "host:port to connect to")
	callsFile := flag.String("calls", "", "file of calls, one JSON object a line")
	connections := flag.Int("connections", 64, "most connections at a time")
	rate := flag.Float64("rate", 0, "requests per second; 0 = as fast as the connections allow")
	requests := flag.Int("requests", 0, "requests to send in all")
	timeout := flag.Duration("timeout", 30*time.Second, "give a request up after this")
	mark := flag.String("mark", "", "bytes whose first occurrence in an answer is timed")
	note := flag.String("note", "", "header of the answers whose values are noted")
	procs := flag.Int("procs", 2, "GOMAXPROCS")
	flag.Parse()
	runtime.GOMAXPROCS(*procs)
	if *requests <= 0 || *address == "" || *callsFile == "" || *connections <= 0 {
		return fmt.Errorf("-address, -calls, -connections and -requests are needed")
	}
	calls, err := readCalls(*callsFile, *address)
	if err != nil {
		return err
	}
	plan := plan{
		address: *address, calls: calls, connections: *connections, requests: *requests,
		rate: *rate, timeout: *timeout, mark: []byte(*mark), note: []byte(*note),
		stop: make(chan os.Signal, 1),
	}
	signal.Notify(plan.stop, syscall.SIGTERM)
	result := plan.run()
	return json.NewEncoder(os.Stdout).Encode(result)
}

func readCalls(path, address string) ([]call, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var calls []call
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var c call
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, len(calls)+1, err)
		}
		c.render(address)
		calls = append(calls, c)
	}
	if len(calls) == 0 && lines.Err() == nil {
		return nil, fmt.Errorf("%s holds no call", path)
	}
	return calls, lines.Err()
}

// render prepares the bytes of the request, so that sending costs one write.
func (c *call) render(address string) {
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nhost: %s\r\ncontent-length: %d\r\n", c.Path, address, len(c.Body))
	for name, value := range c.Headers {
		head += name + ": " + value + "\r\n"
	}
	c.rendered = append([]byte(head+"\r\n"), c.Body...)
}
