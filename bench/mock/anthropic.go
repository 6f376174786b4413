package main

import (
	"bytes"
	"fmt"
	"strings"
)

// Anthropic's Messages wire (POST …/v1/messages): 26 events, that is 20 text deltas between the six
// that frame one message. Key order, ids and sizes are those of the real API.

const (
	claudeModel    = "claude-sonnet-4-5-20250929"
	anthropicHeads = "request-id: req_011CZkTfhim8oTnBV9jzm1XH\r\n" +
		"anthropic-organization-id: 8f2c1d0e-9b7a-4653-8271-605f4e3d2c1b\r\n"
	anthropicUsage = `"input_tokens":16,"cache_creation_input_tokens":8,"cache_read_input_tokens":12,` +
		`"cache_creation":{"ephemeral_5m_input_tokens":8,"ephemeral_1h_input_tokens":0},` +
		`"output_tokens":%d,"service_tier":"standard"`
)

func messages() answer {
	return answer{
		matches: func(path string) bool {
			path, _, _ = strings.Cut(path, "?")
			return strings.HasSuffix(path, "/v1/messages")
		},
		isStream: func(_ string, body []byte) bool {
			return bytes.Contains(body, []byte(`"stream":true`))
		},
		headers:     anthropicHeads,
		contentType: "text/event-stream; charset=utf-8",
		whole: []byte(messageObject(
			fmt.Sprintf(`{"type":"text","text":%s}`, quoted(text())), `"end_turn"`, 27)),
		events: messageEvents(),
	}
}

// messageObject is the message as it begins (no content, no reason) or whole.
func messageObject(content, reason string, written int) string {
	return fmt.Sprintf(`{"model":"%s","id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message",`+
		`"role":"assistant","content":[%s],"stop_reason":%s,"stop_sequence":null,"usage":{%s}}`,
		claudeModel, content, reason, fmt.Sprintf(anthropicUsage, written))
}

func messageEvents() [][]byte {
	var events [][]byte
	emit := func(kind, fields string) {
		events = append(events, []byte(fmt.Sprintf(
			"event: %s\ndata: {\"type\":\"%s\"%s}\n\n", kind, kind, fields)))
	}
	emit("message_start", `,"message":`+messageObject("", "null", 1))
	emit("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`)
	emit("ping", "")
	for _, delta := range deltas {
		emit("content_block_delta",
			fmt.Sprintf(`,"index":0,"delta":{"type":"text_delta","text":%s}`, quoted(delta)))
	}
	emit("content_block_stop", `,"index":0`)
	emit("message_delta", `,"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{`+
		`"input_tokens":16,"cache_creation_input_tokens":8,"cache_read_input_tokens":12,"output_tokens":27}`)
	emit("message_stop", "")
	return events
}
