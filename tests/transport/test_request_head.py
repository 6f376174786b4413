"""What goes on the wire for a request, and what is refused before it does."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.transport import (
    Origin,
    RequestRefused,
    UpstreamRequest,
    end_to_end,
    parse_base_url,
)
from sluicegate.transport.messages import request_head

ORIGIN = Origin("https", "api.example", 443)


def head(
    *headers: tuple[bytes, bytes], method: str = "POST", target: str = "/v1/x", body: bytes = b"{}"
) -> bytes:
    """It makes no difference whether headers are of many requests, or of this one alone."""
    own = UpstreamRequest(ORIGIN, method, target, body=body, own_headers=headers)
    try:
        built = request_head(UpstreamRequest(ORIGIN, method, target, headers, body))
    except RequestRefused:
        with pytest.raises(RequestRefused):
            request_head(own)
        raise
    assert request_head(own) == built
    return built


def test_a_whole_head() -> None:
    assert head((b"Authorization", b"Bearer k"), (b"X-A", b"")) == (
        b"POST /v1/x HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer k\r\nX-A: \r\n"
        b"Accept-Encoding: identity\r\nContent-Length: 2\r\n\r\n"
    )


def test_the_callers_accept_encoding_stands() -> None:
    assert head((b"ACCEPT-encoding", b"gzip")).lower().count(b"accept-encoding") == 1


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        ("POST", b"", b"Content-Length: 0\r\n"),
        ("PUT", b"abc", b"Content-Length: 3\r\n"),
        ("GET", b"", b""),
        ("DELETE", b"", b""),
        ("GET", b"a", b"Content-Length: 1\r\n"),
    ],
)
def test_content_length(method: str, body: bytes, length: bytes) -> None:
    assert head(method=method, body=body).endswith(b"identity\r\n" + length + b"\r\n")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (Origin("http", "a.example", 80), b"a.example"),
        (Origin("http", "a.example", 443), b"a.example:443"),
        (Origin("https", "a.example", 8443), b"a.example:8443"),
        (Origin("http", "::1", 80), b"[::1]"),
        (Origin("http", "2001:db8::1", 8080), b"[2001:db8::1]:8080"),
    ],
)
def test_host_header(origin: Origin, host: bytes) -> None:
    assert b"\r\nHost: " + host + b"\r\n" in request_head(UpstreamRequest(origin, "GET", "/"))


def test_absolute_form_for_a_proxy() -> None:
    request = UpstreamRequest(Origin("http", "a.example", 80), "GET", "/x?y=1")
    extra = ((b"Proxy-Authorization", b"Basic eDp5"),)
    assert request_head(request, absolute=True, extra=extra) == (
        b"GET http://a.example:80/x?y=1 HTTP/1.1\r\nHost: a.example\r\n"
        b"Accept-Encoding: identity\r\nProxy-Authorization: Basic eDp5\r\n\r\n"
    )


@pytest.mark.parametrize(
    "name",
    [
        b"Host",
        b"content-LENGTH",
        b"Transfer-Encoding",
        b"Connection",
        b"Keep-Alive",
        b"TE",
        b"Trailer",
        b"Upgrade",
        b"Proxy-Authorization",
        b"Proxy-Connection",
        b"Expect",
        b"",
        b"X A",
        b"X:A",
        b"X\r\nA",
        b"X\0",
        b" X",
        b"X\xe4",
    ],
)
def test_names_that_are_illegal_or_the_transports_own(name: bytes) -> None:
    for _ in range(2):  # the second time comes from the cache
        with pytest.raises(RequestRefused) as caught:
            head((name, b"secret-value"))
        assert not caught.value.sent
        assert caught.value.phase == "request"
        assert "secret-value" not in str(caught.value)


@pytest.mark.parametrize(
    "value", [b"a\r\nX: b", b"a\r", b"a\n", b"a\0", b"a\x1b", b"a\x7f", b"\r\n"]
)
def test_control_characters_in_values(value: bytes) -> None:
    with pytest.raises(RequestRefused):
        head((b"X-A", value))


@pytest.mark.parametrize(
    "target",
    [
        "",
        "x",
        "*",
        "http://b.example/",
        "/a b",
        "/a\r\nX: y",
        "/a\n",
        "/a\0",
        "/a#b",
        "/ä",
        "/a\x7f",
    ],
)
def test_malformed_targets(target: str) -> None:
    with pytest.raises(RequestRefused):
        head(target=target)


@pytest.mark.parametrize("method", ["", "get", "GET /", "CONNECT", "GET\r\n", "X" * 17])
def test_malformed_methods(method: str) -> None:
    with pytest.raises(RequestRefused):
        head(method=method)


FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*")


@given(
    st.text(max_size=20),
    st.lists(st.tuples(st.binary(max_size=10), st.binary(max_size=12)), max_size=4),
)
def test_a_head_is_well_formed_or_refused(target: str, headers: list[tuple[bytes, bytes]]) -> None:
    try:
        built = head(*headers, target=target)
    except RequestRefused:
        return
    lines = built.split(b"\r\n")
    assert lines[-2:] == [b"", b""]
    assert re.fullmatch(rb"POST /[!-~]* HTTP/1\.1", lines[0])
    assert all(FIELD.fullmatch(line) for line in lines[1:-2])
    assert len(lines) - 5 <= len(headers) + 1
    names = [line.partition(b":")[0].lower() for line in lines[1:-2]]
    assert names.count(b"host") == names.count(b"content-length") == 1
    assert b"transfer-encoding" not in names


def test_secrets_are_not_in_the_repr() -> None:
    request = UpstreamRequest(ORIGIN, "POST", "/x?key=s3cret", ((b"x", b"s3cret"),), b"s3cret")
    assert "s3cret" not in repr(request)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example/v1", ("https", "api.example", 443, "/v1")),
        ("HTTPS://API.Example:8443/v1/", ("https", "api.example", 8443, "/v1")),
        ("http://127.0.0.1:11434", ("http", "127.0.0.1", 11434, "")),
        ("http://[::1]:80/", ("http", "::1", 80, "")),
        ("http://svc.ns.svc.cluster.local./a//", ("http", "svc.ns.svc.cluster.local.", 80, "/a")),
        ("http://my_host/a%20b", ("http", "my_host", 80, "/a%20b")),
    ],
)
def test_base_urls(url: str, expected: tuple[str, str, int, str]) -> None:
    origin, prefix = parse_base_url(url)
    assert (origin.scheme, origin.host, origin.port, prefix) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example",
        "ftp://api.example",
        "unix:///a",
        "https://",
        "https:///v1",
        "https://:443/",
        "https://user:pw@api.example/",
        "https://@api.example/",
        "https://api.example/?a=b",
        "https://api.example/?",
        "https://api.example/#a",
        "https://api.example:0/",
        "https://api.example:65536/",
        "https://api.example:x/",
        "https://api.example:-1/",
        "https://bücher.example/",
        "https://api.exam ple/",
        "https://api.example/a b",
        "https://api.example/\r\nX: y",
        "https://api.example\\@evil.example/",
        "https://api.example%2e/",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        "https://-api.example/",
        "https://api.example-/",
        "https://.example/",
        "https://a,b/",
    ],
)
def test_urls_that_are_no_base_url(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the text is for people)
        parse_base_url(url)


def test_equal_origins_share_a_pool() -> None:
    assert Origin("http", "a", 1) == Origin("http", "a", 1)
    assert hash(Origin("http", "a", 1)) == hash(Origin("http", "a", 1))
    assert len({Origin("http", "a", 1), Origin("https", "a", 1), Origin("http", "a", 2)}) == 3


def test_end_to_end_headers() -> None:
    headers = [
        (b"content-type", b"a/b"),
        (b"connection", b"keep-alive, X-Hop"),
        (b"connection", b"x-other"),
        (b"x-hop", b"1"),
        (b"x-other", b"1"),
        (b"keep-alive", b"timeout=5"),
        (b"transfer-encoding", b"chunked"),
        (b"te", b"trailers"),
        (b"trailer", b"x"),
        (b"upgrade", b"h2c"),
        (b"proxy-authenticate", b"Basic"),
        (b"set-cookie", b"a"),
        (b"set-cookie", b"b"),
    ]
    assert end_to_end(headers) == [
        (b"content-type", b"a/b"),
        (b"set-cookie", b"a"),
        (b"set-cookie", b"b"),
    ]
