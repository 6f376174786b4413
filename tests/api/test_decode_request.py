"""A request body is read strictly, and whatever is wrong with it is said in OpenAI's words."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluicegate.api.parameters import decode_parameters
from sluicegate.api.request import ResponsesRequest, decode_request
from sluicegate.model import ApiError


def refusal(body: bytes) -> ApiError:
    with pytest.raises(ApiError) as caught:
        decode_request(body)
    return caught.value


def outcome(body: bytes) -> ResponsesRequest | ApiError:
    try:
        return decode_request(body)
    except ApiError as error:
        return error


def with_fields(**fields: object) -> bytes:
    return json.dumps({"model": "m", **fields}).encode()


def test_what_routing_and_policy_read() -> None:
    body = with_fields(
        stream=True, user="u", metadata={"user_id": "x"}, store=False, input=[], later={"a": [1]}
    )
    request = decode_request(body)
    assert (request.model, request.stream, request.body) == ("m", True, body)
    assert request.fields.user == "u"
    assert request.fields.metadata == {"user_id": "x"}
    assert request.fields.store is False
    assert request.fields.background is None


@pytest.mark.parametrize("stream", ["", ',"stream":null', ',"stream":false'])
def test_a_stream_is_made_only_where_it_is_asked_for(stream: str) -> None:
    assert decode_request(b'{"model":"m"%b}' % stream.encode()).stream is False


def test_nothing_of_the_body_is_in_the_repr() -> None:
    assert "secret words" not in repr(decode_request(with_fields(input="secret words")))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "unexpected end at byte 0"),
        (b"{", "unexpected end at byte 1"),
        (b'{"model":"m"', "unexpected end at byte 12"),
        (rb'{"model":"\ud800"}', "half of an escaped utf-16 surrogate pair at byte 10"),
        (rb'{"model":"\uDBff "}', "half of an escaped utf-16 surrogate pair at byte 10"),
        (rb'{"model":"\ud800', "unexpected end at byte 16"),
        (rb'{"model":"\\ud800"', "unexpected end at byte 18"),
        (b"{model:1}", "at byte 1"),
        (b'{"model":"m",}', "at byte 13"),
        (b'{"model":"m"} {}', "at byte 15"),
        (b'\xef\xbb\xbf{"model":"m"}', "at byte 0"),
        (b'{"model":"m","x":NaN}', "at byte 17"),
        (b'{"model":"m","x":-Infinity}', "at byte 18"),
        (b'{"model":"m","x":01}', "at byte"),
        (b'{"model":"m","x":"a\nb"}', "at byte 19"),
        (b'{"model":"m","x":"\\ud800"}', "at byte"),
        (b'{"model":"\\udc00a"}', "at byte"),
        (b'{"model":"\xff"}', "invalid UTF-8 at byte 10"),
        (b'{"model":"m","x":"\xff"}', "invalid UTF-8 at byte 18"),
        (b'{"model":"m","input":["\xed\xa0\x80"]}', "invalid UTF-8 at byte 23"),
        (b'{"model":"m","\xc0\xaf":1}', "invalid UTF-8 at byte 14"),
        (b"[]", "expected an object, but got an array instead"),
        (b"null", "expected an object, but got null instead"),
        (b'"m"', "expected an object, but got a string instead"),
    ],
)
def test_what_is_not_a_json_object(body: bytes, words: str) -> None:
    error = refusal(body)
    assert error.status == 400
    assert error.error.message.startswith("We could not parse the JSON body of your request")
    assert words in error.error.message
    assert (error.error.code, error.error.param) == (None, None)


@pytest.mark.parametrize("where", [b'{"model":"m","input":%b}', b'{"model":"m","x":%b}', b"%b"])
@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}")])
def test_deep_nesting_is_refused(where: bytes, pair: tuple[bytes, bytes]) -> None:
    depth = 100_000
    error = refusal(where % (pair[0] * depth + b"1" + pair[1] * depth))
    assert error.status == 400


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"temperature": "hot"}, "temperature", "expected a decimal, but got a string instead"),
        ({"temperature": True}, "temperature", "expected a decimal, but got a boolean instead"),
        ({"stream": "yes"}, "stream", "expected a boolean, but got a string instead"),
        ({"stream": 1}, "stream", "expected a boolean, but got an integer instead"),
        ({"max_output_tokens": 1.5}, "max_output_tokens", "expected an integer, but got a decimal"),
        ({"input": 5}, "input", "expected one of a string or an array, but got an integer"),
        ({"input": {}}, "input", "expected one of a string or an array, but got an object"),
        ({"input": True}, "input", "expected one of a string or an array, but got a boolean"),
        ({"tools": {}}, "tools", "expected an array, but got an object instead"),
        ({"tool_choice": []}, "tool_choice", "expected one of a string or an object"),
        ({"text": "plain"}, "text", "expected an object, but got a string instead"),
        ({"reasoning": 1}, "reasoning", "expected an object, but got an integer instead"),
        ({"metadata": []}, "metadata", "expected an object, but got an array instead"),
        ({"metadata": {"a": 1}}, "metadata.a", "expected a string, but got an integer instead"),
        ({"metadata": {"a": "", "b": None}}, "metadata.b", "expected a string, but got null"),
        ({"include": ["a", 1]}, "include[1]", "expected a string, but got an integer instead"),
        ({"model": 7}, "model", "expected a string, but got an integer instead"),
        ({"instructions": []}, "instructions", "expected a string, but got an array instead"),
    ],
)
def test_wrong_types(fields: dict[str, Any], param: str, message: str) -> None:
    error = refusal(with_fields(**fields))
    assert error.status == 400
    assert (error.error.code, error.error.param) == ("invalid_type", param)
    assert error.error.message.startswith(f"Invalid type for '{param}': {message}")


@pytest.mark.parametrize("body", [b"{}", b'{"model":null}', b'{"input":"x"}'])
def test_a_missing_model(body: bytes) -> None:
    error = refusal(body)
    assert error.error.message == "Missing required parameter: 'model'."
    assert (error.error.code, error.error.param) == ("missing_required_parameter", "model")


@pytest.mark.parametrize("value", [b"1e999", b"9" * 400, b"9" * 5000])
@pytest.mark.parametrize("name", [b"temperature", b"max_output_tokens", b"x"])
def test_huge_numbers_never_fail(name: bytes, value: bytes) -> None:
    found = outcome(b'{"model":"m","%b":%b}' % (name, value))
    if isinstance(found, ApiError):
        assert found.status == 400
        assert found.error.param == name.decode()


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b'{"model":"a","model":"a"}',
        b'{ "model" : "a" , "model" : "b" }',
        b'{"model":"a","stream":true,"stream":null}',
        b'{"model":"a","\\u006dodel":"b"}',
        b'{"mod\\u0065l":"a","model":"b"}',
        b'{"model":"m","x":1,"x":12}',
        b'{"model":"m","x":12,"x":1}',
        b'{"model":"m","x":[1],"y":2,"x":[1]}',
        b'{"model":"m","a":1,"b":2,"c":3,"d":4,"ab":1}'.replace(b'"ab"', b'"d"'),
        b'{"model":"m","\xc3\xa9":1,"\\u00e9":1}',
        b'{"user":"a","model":"m","pad":"' + b"x" * 100_000 + b'","user":"b"}',
    ],
)
def test_a_repeated_key_is_refused_since_readers_differ(body: bytes) -> None:
    error = refusal(body)
    assert error.status == 400
    assert error.error.code == "duplicate_parameter"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"model","input":"\\"model\\":\\"x\\""}',
        b'{ "input" : [ {"role":"user","content":"user"} ] , "user" : "user", "model":"m" }',
        b'{"model":"m","metadata":{"model":"x"},"tools":[{"model":1}]}',
        b'\n{\t"model"\r:\n"m"\t,"a\\"b":1, "a\\\\":2 , "":3 }\n ',
    ],
)
def test_a_key_that_only_seems_repeated_is_not(body: bytes) -> None:
    assert decode_request(body).body == body


def test_so_many_parameters_are_no_request() -> None:
    error = refusal(with_fields(**{f"key{number}": 1 for number in range(100_000)}))
    assert error.error.code == "object_above_max_properties"


_LARGE = 20 * 1024 * 1024
_PAIRS = b",".join(b'"%x":""' % number for number in range(1_500_000))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (b'"tools":[%b0]' % (b"0," * (_LARGE // 2)), None),
        (b'"context_management":[%b0]' % (b"0," * (_LARGE // 2)), None),
        (b'"input":[%b0]' % (b"0," * (_LARGE // 2)), None),
        (b'"include":[%b""]' % (b'"",' * (_LARGE // 3)), "invalid_value"),
        (b'"metadata":{%b}' % _PAIRS, "invalid_value"),
        (b'"tool_choice":{%b}' % _PAIRS, "object_above_max_properties"),
        (b'"text":{%b}' % _PAIRS, "object_above_max_properties"),
        (b'"metadata":{%b},"metadata":{}' % _PAIRS, "duplicate_parameter"),
        (_PAIRS, "object_above_max_properties"),
        (b'"x":[%b0]' % (b"[],{}," * (_LARGE // 6)), None),
    ],
    ids=lambda value: value[:20].decode() if isinstance(value, bytes) else str(value),
)
def test_a_large_body_does_not_cost_many_times_its_size(fields: bytes, code: str | None) -> None:
    body = b'{"model":"m",%b}' % fields
    tracemalloc.start()
    try:
        found = outcome(body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.error.code if isinstance(found, ApiError) else None) == code
    assert isinstance(found, ApiError) is (code is not None)
    assert peak < 60_000_000


@pytest.mark.parametrize("tool", [b"0", b"{}", b'{"type":"a"}'])
def test_so_many_tools_are_no_list_that_is_translated(tool: bytes) -> None:
    many = b",".join([tool] * 1_000_000)
    request = decode_request(b'{"model":"m","input":"x","tools":[%b]}' % many)
    tracemalloc.start()
    try:
        with pytest.raises(ApiError) as caught:
            decode_parameters(request)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.status == 400
    assert peak < 60_000_000


def test_the_limits_of_large_bodies_let_large_requests_pass() -> None:
    metadata = {f"k{number:063}": "v" * 512 for number in range(16)}
    schema = {f"p{number}": {"type": "string"} for number in range(10_000)}
    text = {"format": {"type": "json_schema", "name": "n", "schema": {"properties": schema}}}
    tools = [{"type": "function", "name": f"f{number}"} for number in range(4000)]
    request = decode_request(
        with_fields(input="x", metadata=metadata, text=text, tools=tools, pad="x" * 100_000)
    )
    assert request.fields.metadata == metadata


def test_an_error_repeats_little_of_the_request() -> None:
    long = "k" * 100_000
    for body in (
        with_fields(metadata={long: 1}),
        b'{"model":"m","%b":1,"%b":1}' % (long.encode(), long.encode()),
    ):
        error = refusal(body)
        assert len(error.body()) < 5000


def test_a_large_body_passes() -> None:
    item = {"role": "user", "content": "word " * 40}
    body = with_fields(input=[item] * 40_000)
    assert len(body) > 8_000_000
    assert decode_request(body).model == "m"


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
_names = st.sampled_from(
    ["model", "input", "stream", "tools", "tool_choice", "metadata", "text", "temperature", "x"]
)


@given(st.binary(max_size=200) | _json.map(lambda value: json.dumps(value).encode()))
@example(b'{"model":"m","input":"\xf0\x9f\x8e"}')
def test_arbitrary_bytes_are_a_request_or_a_refusal(body: bytes) -> None:
    found = outcome(body)
    if isinstance(found, ApiError):
        assert found.status == 400
        assert found.error.message
    else:
        assert found.body is body


@given(st.dictionaries(_names, _json), st.booleans())
def test_a_request_that_is_read_is_what_python_reads(
    fields: dict[str, Any], ascii_only: bool
) -> None:
    body = json.dumps({"model": "m", **fields}, ensure_ascii=ascii_only).encode("utf-8", "replace")
    request = outcome(body)
    if isinstance(request, ApiError):
        assert request.status == 400
        return
    read = json.loads(body)
    assert request.model == read["model"]
    assert request.stream is (read.get("stream") is True)
    assert request.fields.metadata == read.get("metadata")
    assert request.fields.temperature == read.get("temperature")


_members = st.lists(st.tuples(st.sampled_from(["model", "x", "é", 'q"', "input"]), _json))


@given(_members, st.sampled_from(["", " ", "\n\t"]), st.booleans())
def test_repeated_keys_are_always_found(
    members: list[tuple[str, Any]], blank: str, ascii_only: bool
) -> None:
    pairs = [("model", "m"), *((key, value) for key, value in members if key != "input")]
    text = f",{blank}".join(
        f"{json.dumps(key, ensure_ascii=ascii_only)}{blank}:{blank}{json.dumps(value)}"
        for key, value in pairs
    )
    keys = [key for key, _ in pairs]
    found = outcome(f"{blank}{{{blank}{text}{blank}}}{blank}".encode())
    if isinstance(found, ResponsesRequest):
        assert len(set(keys)) == len(keys)
    elif found.error.code == "duplicate_parameter":
        assert len(set(keys)) < len(keys)
