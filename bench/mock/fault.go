package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// fault is what the mock does to a request in place of its answer, or before it; ending says that
// nothing more is said on the connection.
type fault func(conn net.Conn) (answered, ending bool)

const slowness = 200 * time.Millisecond

// faults are the ways to fail that take no signal to the process: hanging and dying do.
var faults = map[string]fault{
	"slow": func(net.Conn) (bool, bool) {
		time.Sleep(slowness)
		return false, false
	},
	"reset": func(conn net.Conn) (bool, bool) {
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\ncontent-ty"))
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // so that closing resets
		}
		return true, true
	},
	"garbage": func(conn net.Conn) (bool, bool) {
		_, _ = conn.Write([]byte("\x16\x03\x01 not HTTP at all\r\n\r\n"))
		return true, true
	},
	"429": refusal("429 Too Many Requests", "rate_limit_exceeded"),
	"500": refusal("500 Internal Server Error", "server_error"),
}

func refusal(status, code string) fault {
	body := fmt.Sprintf(`{"error":{"message":"told to","type":%q,"param":null,"code":%q}}`, code, code)
	answer := []byte(fmt.Sprintf("HTTP/1.1 %s\r\ncontent-type: application/json\r\n"+
		"content-length: %d\r\n\r\n%s", status, len(body), body))
	return func(conn net.Conn) (bool, bool) {
		_, err := conn.Write(answer)
		return true, err != nil
	}
}

// active is the fault of the moment; SIGUSR1 makes the named one active.
var active atomic.Pointer[fault]

func failOnSignal(name string) error {
	chosen, known := faults[name]
	if !known {
		return fmt.Errorf("unknown fault %q", name)
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	go func() {
		<-told
		active.Store(&chosen)
	}()
	return nil
}
