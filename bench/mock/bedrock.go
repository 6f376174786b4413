package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

// Bedrock's wire (POST …/model/{id}/converse and …/converse-stream): 24 frames of an AWS event
// stream, that is 20 text deltas between the four that frame one message.

const (
	bedrockHeads = "x-amzn-requestid: 8f2c1d0e-9b7a-4653-8271-605f4e3d2c1b\r\n"
	bedrockUsage = `"usage":{"inputTokens":16,"outputTokens":27,"totalTokens":63,` +
		`"cacheReadInputTokens":12,"cacheWriteInputTokens":8},"metrics":{"latencyMs":412}`
)

func converse() answer {
	const whole, stream = "/converse", "/converse-stream"
	isStream := func(path string, _ []byte) bool { return strings.HasSuffix(path, stream) }
	return answer{
		matches: func(path string) bool {
			return strings.HasSuffix(path, whole) || isStream(path, nil)
		},
		isStream:    isStream,
		headers:     bedrockHeads,
		contentType: "application/vnd.amazon.eventstream",
		whole: []byte(fmt.Sprintf(`{%s,"output":{"message":{"content":[{"text":%s}],"role":"assistant"}},`+
			`"stopReason":"end_turn"}`, bedrockUsage, quoted(text()))),
		events: converseEvents(),
	}
}

func converseEvents() [][]byte {
	// `p` is padding of the real API, which hides how long a token is.
	const padding = `"p":"abcdefghijklmnopq"`
	events := [][]byte{eventFrame("messageStart", `{`+padding+`,"role":"assistant"}`)}
	for _, delta := range deltas {
		events = append(events, eventFrame("contentBlockDelta",
			fmt.Sprintf(`{"contentBlockIndex":0,"delta":{"text":%s},%s}`, quoted(delta), padding)))
	}
	return append(events,
		eventFrame("contentBlockStop", `{"contentBlockIndex":0,`+padding+`}`),
		eventFrame("messageStop", `{`+padding+`,"stopReason":"end_turn"}`),
		eventFrame("metadata", `{`+padding+`,`+bedrockUsage+`}`))
}

// eventFrame is one frame (Smithy, "Amazon Event Stream Specification"), big-endian: total length,
// length of the headers, CRC-32 of both, headers, payload, CRC-32 of everything before.
func eventFrame(kind, payload string) []byte {
	var headers []byte
	for _, header := range [][2]string{
		{":event-type", kind}, {":content-type", "application/json"}, {":message-type", "event"},
	} {
		const isString = 7
		headers = append(append(headers, byte(len(header[0]))), header[0]...)
		headers = binary.BigEndian.AppendUint16(append(headers, isString), uint16(len(header[1])))
		headers = append(headers, header[1]...)
	}
	const overhead = 16 // of the three lengths and checksums, and the last one
	frame := binary.BigEndian.AppendUint32(nil, uint32(overhead+len(headers)+len(payload)))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(headers)))
	frame = binary.BigEndian.AppendUint32(frame, crc32.ChecksumIEEE(frame))
	frame = append(append(frame, headers...), payload...)
	return binary.BigEndian.AppendUint32(frame, crc32.ChecksumIEEE(frame))
}
