package main

import (
	"fmt"
	"strings"
)

// Gemini's wire (POST …:generateContent and …:streamGenerateContent?alt=sse), which is also that of
// Vertex AI: 20 events with one text delta each, ended with CRLF as Google does.

const geminiHeads = "server-timing: gfet4t7; dur=412\r\nvary: Origin\r\nalt-svc: h3=\":443\"; ma=2592000\r\n"

func generateContent() answer {
	const whole, stream = ":generateContent", ":streamGenerateContent"
	isStream := func(path string, _ []byte) bool {
		path, _, _ = strings.Cut(path, "?")
		return strings.HasSuffix(path, stream)
	}
	return answer{
		matches: func(path string) bool {
			plain, _, _ := strings.Cut(path, "?")
			return strings.HasSuffix(plain, whole) || isStream(path, nil)
		},
		isStream:    isStream,
		headers:     geminiHeads,
		contentType: "text/event-stream",
		whole:       []byte(contentChunk(text(), true, 27)),
		events:      contentEvents(),
	}
}

// contentChunk is one object of the stream, or the whole answer. Each has the usage so far.
func contentChunk(text string, last bool, written int) string {
	reason := ""
	if last {
		reason = `"finishReason": "STOP",`
	}
	return fmt.Sprintf(`{"candidates": [{"content": {"parts": [{"text": %s}],"role": "model"},%s"index": 0}],`+
		`"usageMetadata": {"promptTokenCount": 36,"candidatesTokenCount": %d,"totalTokenCount": %d,`+
		`"promptTokensDetails": [{"modality": "TEXT","tokenCount": 36}],"cachedContentTokenCount": 12},`+
		`"modelVersion": "gemini-2.5-flash","responseId": "a9--aa6MOKL4vdIPz7X2iQ4"}`,
		quoted(text), reason, written, 36+written)
}

func contentEvents() [][]byte {
	var events [][]byte
	for n, delta := range deltas {
		last := n == len(deltas)-1
		events = append(events, []byte("data: "+contentChunk(delta, last, n+8)+"\r\n\r\n"))
	}
	return events
}

// googleToken is what a token endpoint of Google's answers (POST …/token), for Vertex AI.
func googleToken() answer {
	return answer{
		matches:  func(path string) bool { return path == "/token" },
		isStream: func(string, []byte) bool { return false },
		whole: []byte(`{"access_token":"ya29.mock","issued_token_type":` +
			`"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":3600}`),
	}
}
