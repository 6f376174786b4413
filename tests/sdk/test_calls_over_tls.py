"""The same over TLS, with a certificate authority of one's own."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator

import httpx2
import openai
import pytest
import trustme

import sluicegate
import spoken_wires
from scripted_upstream import hangs
from served_upstream import Served
from spoken_wires import responses_stream

MODEL = "openai/o1-pro"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Served]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued = authority.issue_cert("127.0.0.1")
    with issued.private_key_and_cert_chain_pem.tempfile() as pem:
        tls.load_cert_chain(pem)
    served = Served()
    served.start(tls)
    yield served
    served.stop()


@pytest.fixture
def client(authority: trustme.CA) -> Iterator[httpx2.Client]:
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=authority.cert_pem.bytes().decode())
    with httpx2.Client(verify=context) as made:
        yield made


def test_an_answer(secure: Served, client: httpx2.Client) -> None:
    secure.says(spoken_wires.openai)
    for _ in range(2):
        answer = sluicegate.responses(
            MODEL, "hi", api_key="k", base_url=f"{secure.origin}/v1", http_client=client
        )
        assert answer.output_text == "Hello there"


def test_a_certificate_that_nobody_trusts(secure: Served) -> None:
    with pytest.raises(openai.APIConnectionError, match="connect"):
        sluicegate.responses(
            MODEL, "hi", api_key="k", base_url=f"{secure.origin}/v1", max_retries=0
        )
    assert secure.calls == []


def test_break(secure: Served, client: httpx2.Client) -> None:
    secure.says(hangs(*responses_stream("o1-pro", events=5)))
    for event in sluicegate.responses(
        MODEL, "hi", stream=True, api_key="k", base_url=f"{secure.origin}/v1", http_client=client
    ):
        assert event.type == "response.created"
        break
    secure.closed()


def test_close_while_another_thread_reads(secure: Served, client: httpx2.Client) -> None:
    secure.says(hangs(*responses_stream("o1-pro", events=5)))
    stream = sluicegate.responses(
        MODEL, "hi", stream=True, api_key="k", base_url=f"{secure.origin}/v1", http_client=client
    )
    begun = threading.Event()
    ended = threading.Event()

    def read() -> None:
        for event in stream:
            if event.type == "response.output_text.delta":
                begun.set()
        ended.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(10)
    threading.Event().wait(0.1)  # now it waits for more
    stream.close()
    secure.closed()
    reader.join(10)
    assert ended.is_set()
