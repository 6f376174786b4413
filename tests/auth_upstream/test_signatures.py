"""Signatures equal those of botocore, over the bytes that the transport sends."""

from datetime import UTC, datetime
from urllib.parse import quote

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.auth.upstream.sigv4 import Keys, Signer
from sluicegate.providers.contract import UpstreamCall
from sluicegate.transport import UpstreamRequest, parse_base_url
from sluicegate.transport.messages import request_head

NOW = 1_700_000_000.25
KEYS = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
TEMPORARY = KEYS._replace(token="session/token==")


@pytest.fixture(autouse=True)
def frozen_time(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = datetime.fromtimestamp(NOW, UTC)

    def current(*, remove_tzinfo: bool = True) -> datetime:
        return moment.replace(tzinfo=None) if remove_tzinfo else moment

    monkeypatch.setattr(botocore.auth, "get_current_datetime", current)


def call(
    target: str,
    body: bytes = b"{}",
    base_url: str = "https://bedrock-runtime.us-east-1.amazonaws.com",
) -> UpstreamCall:
    headers = ((b"content-type", b"application/json"), (b"x-team", b"unsigned"))
    return UpstreamCall(base_url, "POST", target, headers, body)


def as_botocore_signs(made: UpstreamCall, keys: Keys, region: str = "us-east-1") -> dict[str, str]:
    origin, _ = parse_base_url(made.base_url)
    name = origin.host_line.decode().removeprefix("Host: ")
    request = AWSRequest(
        "POST",
        f"{origin.scheme}://{name}{made.target}",
        data=made.body,
        headers={"Content-Type": "application/json"},
    )
    credentials = Credentials(keys.access_key, keys.secret_key, keys.token)
    SigV4Auth(credentials, "bedrock", region).add_auth(request)
    kept = {"authorization", "x-amz-date", "x-amz-security-token"}
    return {n.lower(): v for n, v in request.headers.items() if n.lower() in kept}


def as_we_sign(made: UpstreamCall, keys: Keys, region: str = "us-east-1") -> dict[str, str]:
    signed = Signer(keys, region, "bedrock").headers(made, NOW)
    return {name.decode(): value.decode() for name, value in signed}


@pytest.mark.parametrize("keys", [KEYS, TEMPORARY], ids=["key", "with a token"])
@pytest.mark.parametrize(
    "model",
    [
        "anthropic.claude-3-sonnet-20240229-v1:0",
        "us.amazon.nova-micro-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-x-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123",
        "a b+c~d_e%f",
    ],
)
def test_model_ids(model: str, keys: Keys) -> None:
    made = call(f"/model/{quote(model, safe='')}/converse-stream", b'{"messages":[]}')
    assert as_we_sign(made, keys) == as_botocore_signs(made, keys)


@given(
    segments=st.lists(st.text("ab:%/.~ +é=", max_size=8), max_size=6),
    body=st.binary(max_size=40),
    query=st.sampled_from(["", "?a=1&b=2", "?b=2&a=1&a=0", "?x", "?a=&b"]),
)
def test_any_path_and_body(segments: list[str], body: bytes, query: str) -> None:
    target = "/" + "/".join(quote(segment, safe="/.~:+=") for segment in segments) + query
    made = call(target.replace("//", "/"), body)
    assert as_we_sign(made, TEMPORARY) == as_botocore_signs(made, TEMPORARY)


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:8123",
        "https://VPCE-1.bedrock-runtime.us-east-1.vpce.amazonaws.com",
        "https://proxy.example:443/aws",
        "http://proxy.example:80",
        "http://[::1]:8080",
    ],
)
def test_the_host_is_the_one_the_transport_writes(base_url: str) -> None:
    made = call("/model/m/converse", base_url=base_url)
    assert as_we_sign(made, KEYS) == as_botocore_signs(made, KEYS)


def test_what_is_signed_is_what_the_transport_sends() -> None:
    """A signature over `%3A` is worth nothing if the path goes out with `:`."""
    made = call("/model/a%3Ab%2Fc/converse")
    origin, _ = parse_base_url(made.base_url)
    head = request_head(UpstreamRequest(origin, "POST", made.target, made.headers, made.body))
    assert head.startswith(b"POST /model/a%3Ab%2Fc/converse HTTP/1.1\r\n")


def test_the_signing_key_changes_with_the_day() -> None:
    signer = Signer(KEYS, "eu-west-1", "bedrock")
    made = call("/model/m/converse")
    assert signer.headers(made, NOW - 86400) != signer.headers(made, NOW)
    signed = {name.decode(): value.decode() for name, value in signer.headers(made, NOW)}
    assert signed == as_botocore_signs(made, KEYS, "eu-west-1")


def test_no_repr_shows_a_key() -> None:
    assert KEYS.secret_key not in repr((KEYS, Signer(KEYS, "r", "s")))
