package main

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// plan is one run of the generator.
type plan struct {
	address     string
	calls       []call
	connections int
	requests    int
	rate        float64
	timeout     time.Duration
	mark        []byte
	note        []byte
	stop        chan os.Signal
}

// outcome is what happened to one request. Times are since the run's start.
type outcome struct {
	due, sent, firstByte, firstMark, done time.Duration
	noted                                 string
	err                                   error
}

const errorsShown = 5

func (p *plan) run() report {
	outcomes := make([]outcome, p.requests)
	start := time.Now()
	if p.rate > 0 {
		outcomes = p.open(start, outcomes)
	} else {
		p.closed(start, outcomes)
	}
	return summarise(outcomes, start)
}

// closed keeps every connection busy; a request is due when its connection is free.
func (p *plan) closed(start time.Time, outcomes []outcome) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range p.connections {
		group.Add(1)
		go func() {
			defer group.Done()
			conn := &connection{plan: p, start: start}
			defer conn.shut()
			for n := next.Add(1) - 1; n < int64(len(outcomes)); n = next.Add(1) - 1 {
				outcomes[n].due = time.Since(start)
				conn.send(p.callOf(int(n)), &outcomes[n])
				conn.receive(&outcomes[n])
			}
		}()
	}
	group.Wait()
}

// open sends request n when it is due, from one operating system thread that sleeps precisely, so
// that the runtime's timers, which may be a millisecond late, are no part of what is measured. The
// answers are read by one goroutine for each connection. With every connection busy the request
// waits for one, and its latency keeps counting. Answers the outcomes of those that were sent.
func (p *plan) open(start time.Time, outcomes []outcome) []outcome {
	idle := make(chan *connection, p.connections)
	for range p.connections {
		idle <- &connection{plan: p, start: start}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The kernel may lengthen a thread's sleeps by its timer slack, by default 50 us. Where it
	// refuses, the requests leave that much later, which the report's late_us shows.
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_TIMERSLACK, 1, 0)
	var group sync.WaitGroup
	sent := 0
	for ; sent < len(outcomes) && len(p.stop) == 0; sent++ {
		n, o := sent, &outcomes[sent]
		o.due = time.Duration(float64(n) / p.rate * float64(time.Second))
		sleepUntil(start, o.due)
		conn := <-idle
		group.Add(1)
		conn.send(p.callOf(n), o)
		go func() {
			defer group.Done()
			conn.receive(o)
			idle <- conn
		}()
	}
	group.Wait()
	for range p.connections {
		(<-idle).shut()
	}
	return outcomes[:sent]
}

func (p *plan) callOf(n int) *call { return &p.calls[n%len(p.calls)] }

func sleepUntil(start time.Time, due time.Duration) {
	for left := due - time.Since(start); left > 0; left = due - time.Since(start) {
		span := syscall.NsecToTimespec(int64(left))
		// An interrupted sleep is taken up again by the loop.
		_ = syscall.Nanosleep(&span, nil)
	}
}

func summarise(outcomes []outcome, start time.Time) report {
	result := report{
		Requests: len(outcomes), Seconds: time.Since(start).Seconds(), FirstErrors: []string{},
		LateUS: []uint32{}, LatencyUS: []uint32{}, FirstByteUS: []uint32{}, FirstMarkUS: []uint32{},
		FirstSeen: map[string]int64{},
	}
	for i := range outcomes {
		o := &outcomes[i]
		if o.err != nil {
			result.Errors++
			if len(result.FirstErrors) < errorsShown {
				result.FirstErrors = append(result.FirstErrors, o.err.Error())
			}
			continue
		}
		result.LateUS = append(result.LateUS, micros(o.sent-o.due))
		result.LatencyUS = append(result.LatencyUS, micros(o.done-o.due))
		result.FirstByteUS = append(result.FirstByteUS, micros(o.firstByte-o.due))
		var mark uint32
		if o.firstMark > 0 {
			mark = micros(o.firstMark - o.due)
		}
		result.FirstMarkUS = append(result.FirstMarkUS, mark)
		if o.noted != "" {
			at := start.Add(o.done).UnixMicro()
			if first, seen := result.FirstSeen[o.noted]; !seen || at < first {
				result.FirstSeen[o.noted] = at
			}
		}
	}
	return result
}

func micros(d time.Duration) uint32 { return uint32(d / time.Microsecond) }
