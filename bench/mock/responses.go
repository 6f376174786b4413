package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// The Responses wire (POST …/responses): 28 events, that is 20 text deltas between the eight
// events that frame one message. Key order, ids and sizes are those of the real API.

const (
	responseID   = "resp_0c59b2a1f4e7d86300691d2f3a8b7c81a09e5d4c3b2a190817"
	messageID    = "msg_0c59b2a1f4e7d86300691d2f3b0f5081a0b6a5948372615f4e"
	responsesRev = "gpt-4.1-2025-04-14"
	openaiHeads  = "openai-processing-ms: 412\r\nopenai-version: 2020-10-01\r\n" +
		"x-request-id: req_8f2c1d0e9b7a46538271605f4e3d2c1b\r\n"
)

var deltas = []string{
	"The", " gateway", " reads", " one", " snapshot", " per", " request", ",", " picks", " a",
	" deployment", " from", " the", " pool", " and", " writes", " what", " it", " answers", ".",
}

func responses() answer {
	return answer{
		matches: func(path string) bool {
			path, _, _ = strings.Cut(path, "?")
			return strings.HasSuffix(path, "/responses")
		},
		isStream: func(_ string, body []byte) bool {
			return bytes.Contains(body, []byte(`"stream":true`)) ||
				bytes.Contains(body, []byte(`"stream": true`))
		},
		headers:     openaiHeads,
		contentType: "text/event-stream; charset=utf-8",
		whole:       []byte(responseObject("completed", true)),
		events:      responseEvents(),
	}
}

func text() string { return strings.Join(deltas, "") }

func quoted(s string) string {
	encoded, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(encoded)
}

func textPart(text string) string {
	return fmt.Sprintf(`{"type":"output_text","annotations":[],"logprobs":[],"text":%s}`, quoted(text))
}

func messageItem(status, content string) string {
	return fmt.Sprintf(`{"id":"%s","type":"message","status":"%s","content":[%s],"role":"assistant"}`,
		messageID, status, content)
}

// responseObject is the Response as created (no output, no usage) or as completed.
func responseObject(status string, done bool) string {
	completedAt, output, usage := "null", "", "null"
	if done {
		completedAt = "1763520314"
		output = messageItem("completed", textPart(text()))
		usage = `{"input_tokens":36,"input_tokens_details":{"cached_tokens":12,"cache_write_tokens":8},` +
			`"output_tokens":27,"output_tokens_details":{"reasoning_tokens":6},"total_tokens":63}`
	}
	return fmt.Sprintf(`{"id":"%s","object":"response","created_at":1763520313,"status":"%s",`+
		`"background":false,"completed_at":%s,"error":null,"frequency_penalty":0.0,`+
		`"incomplete_details":null,"instructions":null,"max_output_tokens":null,`+
		`"max_tool_calls":null,"model":"%s","output":[%s],"parallel_tool_calls":true,`+
		`"presence_penalty":0.0,"previous_response_id":null,"prompt_cache_key":null,`+
		`"prompt_cache_retention":null,"reasoning":{"effort":null,"summary":null},`+
		`"safety_identifier":null,"service_tier":"default","store":false,"temperature":1.0,`+
		`"text":{"format":{"type":"text"},"verbosity":"medium"},"tool_choice":"auto","tools":[],`+
		`"top_logprobs":0,"top_p":1.0,"truncation":"disabled","usage":%s,"user":null,"metadata":{}}`,
		responseID, status, completedAt, responsesRev, output, usage)
}

// responseEvents is the stream of one message in the order that the API documents.
func responseEvents() [][]byte {
	var events [][]byte
	emit := func(kind, fields string) {
		events = append(events, []byte(fmt.Sprintf(
			"event: %s\ndata: {\"type\":\"%s\",%s,\"sequence_number\":%d}\n\n",
			kind, kind, fields, len(events))))
	}
	at := fmt.Sprintf(`"item_id":"%s","output_index":0,"content_index":0`, messageID)
	emit("response.created", `"response":`+responseObject("in_progress", false))
	emit("response.in_progress", `"response":`+responseObject("in_progress", false))
	emit("response.output_item.added", `"output_index":0,"item":`+messageItem("in_progress", ""))
	emit("response.content_part.added", at+`,"part":`+textPart(""))
	for _, delta := range deltas {
		emit("response.output_text.delta",
			at+fmt.Sprintf(`,"delta":%s,"logprobs":[],"obfuscation":"q8TzLw2nXb"`, quoted(delta)))
	}
	emit("response.output_text.done", at+fmt.Sprintf(`,"text":%s,"logprobs":[]`, quoted(text())))
	emit("response.content_part.done", at+`,"part":`+textPart(text()))
	emit("response.output_item.done", `"output_index":0,"item":`+messageItem("completed", textPart(text())))
	emit("response.completed", `"response":`+responseObject("completed", true))
	return events
}
