// Command mock is the upstream of the load harness: it answers every wire format it knows with
// fixed, pre-rendered bytes, so that it costs as little as possible beside what is measured.
//
// It speaks HTTP/1.1 by hand instead of through net/http, which costs several times as much CPU per
// request and would share the load generator's core. One file per wire format (responses.go,
// anthropic.go, …) renders the bytes, pace.go says how a stream is cut into writes, fault.go how
// answers fail, server.go moves the bytes.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	procs := flag.Int("procs", 1, "GOMAXPROCS")
	var p pace
	flag.DurationVar(&p.firstByte, "first-byte", 0, "wait before the first byte of every answer")
	flag.DurationVar(&p.between, "between", 0, "wait between two writes of a stream")
	flag.IntVar(&p.eventsPerWrite, "events-per-write", 1, "events in one write; 0 = all in one")
	failure := flag.String("fault", "", "how to fail from SIGUSR1 on; see fault.go")
	flag.Parse()
	if *failure != "" {
		if err := failOnSignal(*failure); err != nil {
			fmt.Fprintln(os.Stderr, "mock:", err)
			os.Exit(2)
		}
	}
	runtime.GOMAXPROCS(*procs)

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mock:", err)
		os.Exit(1)
	}
	// The harness reads this line: from here on connections are accepted.
	fmt.Println("listening on", listener.Addr())
	serve(listener, newRoutes(wires(), p))
}

// wires is the table of answers; a new wire format adds its lines here.
func wires() []answer {
	return []answer{responses(), messages(), generateContent(), converse(), googleToken()}
}
