"""The requests of the workloads: one body for every target, so that all do the same work."""

import hashlib
from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Workload(StrEnum):
    """What a request asks for: `<provider>-<shape>`, of `openai` only the shape."""

    JSON = "json"
    STREAM = "stream"  # 28 events, each its own write of the upstream
    STREAM_JOINED = "stream-joined"  # the same 28 events in one write
    STREAM_PACED = "stream-paced"  # the same 28 events, 10 ms apart
    ECHO_JSON = "echo-json"
    ECHO_STREAM = "echo-stream"
    ANTHROPIC_JSON = "anthropic-json"
    ANTHROPIC_STREAM = "anthropic-stream"
    ANTHROPIC_STREAM_JOINED = "anthropic-stream-joined"
    GEMINI_JSON = "gemini-json"
    GEMINI_STREAM = "gemini-stream"
    GEMINI_STREAM_JOINED = "gemini-stream-joined"
    BEDROCK_JSON = "bedrock-json"
    BEDROCK_STREAM = "bedrock-stream"
    BEDROCK_STREAM_JOINED = "bedrock-stream-joined"

    @property
    def provider(self) -> str:
        """Who answers: a provider of the gateway."""
        first = self.value.partition("-")[0]
        return first if first in _PREFIXES else "openai"

    @property
    def shape(self) -> str:
        """The form of the answer, whoever gives it."""
        return self.value.removeprefix(f"{self.provider}-")

    @property
    def streams(self) -> bool:
        """Whether the answer is a stream of events."""
        return self.shape != "json"

    @property
    def is_echo(self) -> bool:
        """Whether the gateway answers by itself, without an upstream."""
        return self.provider == "echo"

    @property
    def is_passed_on(self) -> bool:
        """Whether the upstream speaks the client's dialect, so that any proxy will do."""
        return self.provider == "openai"


_PREFIXES = frozenset({"echo", "anthropic", "gemini", "bedrock"})


EVENTS_PER_STREAM = 28
# The first event that carries output; a gateway may hold back those before it.
FIRST_OUTPUT = "response.output_text.delta"


class Call(msgspec.Struct, frozen=True):
    """One POST request."""

    path: str
    headers: Mapping[str, str]
    body: str


_UPSTREAM_PREFIXES = {"stream-joined": "/events-per-write=0", "stream-paced": "/between=10ms"}


def upstream_prefix(workload: Workload) -> str:
    """The path in front of the API's own by which the mock knows how to write its answer."""
    return _UPSTREAM_PREFIXES.get(workload.shape, "")


def client_key(number: int = 0) -> str:
    """The bench's client keys: made up, and always the same."""
    return "sk-bench-" + hashlib.sha256(f"client key {number}".encode()).hexdigest()[:40]


def request_body(model: str, *, stream: bool) -> str:
    """A request of usual shape, some 500 bytes."""
    body = {
        "model": model,
        "instructions": "You are the help desk of a platform team. Answer in one sentence.",
        "input": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "input_text",
                        "text": "What does the gateway do with a request between the moment it "
                        "arrives and the moment its answer leaves?",
                    }
                ],
            }
        ],
        "max_output_tokens": 256,
        "temperature": 0.7,
        "store": False,
        "stream": stream,
        "safety_identifier": "user-4711",
        "metadata": {"ticket": "OPS-1234"},
    }
    return msgspec.json.encode(body).decode()


def call(path: str, model: str, workload: Workload, key: str) -> Call:
    """A workload's request to `path`, with a bearer key."""
    return Call(
        path=path,
        headers={"content-type": "application/json", "authorization": f"Bearer {key}"},
        body=request_body(model, stream=workload.streams),
    )
