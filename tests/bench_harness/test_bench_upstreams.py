"""The compiled mock speaks each wire as the gateway's own framing reads it."""

import http.client
import json
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest
from bench import calls, manifests, targets, tools
from bench.calls import EVENTS_PER_STREAM, Workload
from bench.manifests import PROVIDERS
from bench.options import ROOT
from bench.processes import Placement, Processes
from bench.targets import Target
from click.testing import CliRunner

from sluicegate.cli.lint import lint
from sluicegate.framing.aws_eventstream import FrameReader
from sluicegate.framing.sse import FrameSplitter, parse_frame

DELTAS = EVENTS_PER_STREAM - 8
GEMINI = "/v1beta/models/gemini-2.5-flash"
BEDROCK = "/model/anthropic.claude-3-sonnet-20240229-v1%3A0"


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Generator[Target]:
    if shutil.which("go") is None:
        pytest.skip("the mock upstream needs Go on PATH")
    folder = tmp_path_factory.mktemp("mock")
    with Processes(Placement(None, None), folder) as processes:
        yield targets.start_mock(processes, tools.Cache(ROOT / ".cache" / "bench"), folder)


def post(mock: Target, path: str, body: bytes = b"{}") -> tuple[str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", mock.port, timeout=10)
    try:
        connection.request("POST", path, body, {"content-type": "application/json"})
        response = connection.getresponse()
        assert response.status == http.HTTPStatus.OK
        return response.headers["content-type"], response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("prefix", ["", "/events-per-write=0"])
def test_anthropic_streams_its_deltas(mock: Target, prefix: str) -> None:
    _, body = post(mock, f"{prefix}/v1/messages", b'{"stream":true}')
    splitter = FrameSplitter()
    events = [parse_frame(frame) for frame in splitter.feed(body)]
    assert splitter.close() == b""
    assert [event.event for event in events] == [
        *("message_start", "content_block_start", "ping"),
        *["content_block_delta"] * DELTAS,
        *("content_block_stop", "message_delta", "message_stop"),
    ]
    assert all(json.loads(event.data)["type"] == event.event for event in events)


@pytest.mark.parametrize("prefix", ["", "/events-per-write=0"])
def test_gemini_streams_with_crlf(mock: Target, prefix: str) -> None:
    _, body = post(mock, f"{prefix}{GEMINI}:streamGenerateContent?alt=sse")
    assert body.count(b"\n") == body.count(b"\r\n") == 2 * DELTAS
    chunks = [json.loads(parse_frame(frame).data) for frame in FrameSplitter().feed(body)]
    assert len(chunks) == DELTAS
    assert [chunk["candidates"][0].get("finishReason") for chunk in chunks[-2:]] == [None, "STOP"]


@pytest.mark.parametrize("prefix", ["", "/events-per-write=0"])
def test_bedrock_streams_frames_with_right_checksums(mock: Target, prefix: str) -> None:
    kind, body = post(mock, f"{prefix}{BEDROCK}/converse-stream")
    assert kind == "application/vnd.amazon.eventstream"
    reader = FrameReader()
    frames = reader.feed(body)  # raises for a wrong checksum
    reader.close()
    assert [frame.headers[":event-type"] for frame in frames] == [
        "messageStart",
        *["contentBlockDelta"] * DELTAS,
        *("contentBlockStop", "messageStop", "metadata"),
    ]
    assert all(json.loads(frame.payload) for frame in frames)


@pytest.mark.parametrize(
    "path", ["/v1/messages", f"{GEMINI}:generateContent", f"{BEDROCK}/converse", "/token"]
)
def test_whole_answers_are_json(mock: Target, path: str) -> None:
    kind, body = post(mock, path)
    assert kind == "application/json"
    assert json.loads(body)


@pytest.mark.parametrize("workload", [w for w in Workload if not w.is_echo])
def test_a_workload_is_a_provider_and_a_shape(workload: Workload) -> None:
    assert workload.value in {workload.shape, f"{workload.provider}-{workload.shape}"}
    assert workload.streams is workload.shape.startswith("stream")
    assert calls.upstream_prefix(workload) == calls.upstream_prefix(Workload(workload.shape))


def test_the_further_deployments_are_of_all_providers(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    manifests.write_folder(folder, mock_port=1, deployments=len(PROVIDERS), keys=2)
    for number, provider in enumerate(PROVIDERS):
        text = (folder / f"{manifests.deployment_name(number)}.yaml").read_text(encoding="utf-8")
        assert f"    {provider}: {{" in text
    judged = CliRunner().invoke(lint, [str(folder)])
    assert judged.exit_code == 0, judged.output
