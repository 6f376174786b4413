import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from bench.calls import Call, Workload, call, request_body
from bench.loads import WrkResult, lua_string, parse_wrk, wrk_script
from bench.processes import BenchError
from hypothesis import given
from hypothesis import strategies as st

WRK_OUTPUT = """\
Running 5s test @ http://127.0.0.1:4000/v1/responses
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.10ms    1.02ms  21.00ms   90.00%
  119153 requests in 5.00s, 162.11MB read
Requests/sec:  23830.64
bench-result {"requests":119153,"seconds":5.001234,"errors":3,"p50_us":2101.0,"p99_us":5203.5}
"""


def test_the_scripts_line_is_found_in_what_wrk_prints() -> None:
    assert parse_wrk(WRK_OUTPUT) == WrkResult(
        requests=119153, seconds=5.001234, errors=3, p50_us=2101.0, p99_us=5203.5
    )


def test_wrk_without_the_line_is_an_error_that_shows_its_output() -> None:
    with pytest.raises(BenchError, match="unable to connect"):
        parse_wrk("unable to connect to 127.0.0.1:4000 Connection refused\n")


def test_the_script_has_the_calls_headers_and_body() -> None:
    script = wrk_script(Call("/v1/responses", {"authorization": "Bearer k"}, '{"a": "b\\n"}'))
    assert 'wrk.headers["authorization"] = "Bearer k"' in script
    assert r'wrk.body = "{\"a\": \"b\\n\"}"' in script


@given(st.text())
def test_a_lua_string_is_one_line_of_printable_ascii(text: str) -> None:
    literal = lua_string(text)
    assert literal.isascii()
    assert literal.isprintable()


def unquoted(literal: str) -> bytes:
    """What Lua reads: the escapes are \\\\, \\" and \\ddd, a byte in three decimal digits."""
    out = bytearray()
    rest = iter(literal[1:-1])
    for char in rest:
        if char != "\\":
            out += char.encode()
            continue
        escaped = next(rest)
        out += (
            bytes([int(escaped + next(rest) + next(rest))])
            if escaped.isdigit()
            else escaped.encode()
        )
    return bytes(out)


@given(st.text())
def test_a_lua_string_reads_back_as_the_text(text: str) -> None:
    assert unquoted(lua_string(text)) == text.encode()


@pytest.mark.parametrize("workload", list(Workload))
def test_every_workload_sends_valid_json_that_asks_for_what_it_says(workload: Workload) -> None:
    made = call("/v1/responses", "some-model", workload, "key")
    body = msgspec.json.decode(made.body, type=dict[str, object])
    assert body["model"] == "some-model"
    assert body["stream"] is workload.streams
    # The mock looks for these bytes instead of decoding the body.
    assert ('"stream":true' in made.body) is workload.streams


def test_bodies_differ_by_model_and_stream_only() -> None:
    plain = msgspec.json.decode(request_body("a", stream=False), type=dict[str, object])
    other = msgspec.json.decode(request_body("b", stream=True), type=dict[str, object])
    assert {name for name in plain if plain[name] != other[name]} == {"model", "stream"}


def test_the_go_programs_are_formatted() -> None:
    go = shutil.which("go")
    gofmt = shutil.which("gofmt")
    if go is None or gofmt is None:
        pytest.skip("needs Go")
    folder = Path(__file__).parents[2] / "bench"
    listed = subprocess.run([gofmt, "-l", "."], cwd=folder, capture_output=True, check=True)
    assert listed.stdout == b""
