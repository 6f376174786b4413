"""What hands out AWS credentials, scripted on loopback: STS, container and instance metadata."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str]


@dataclass
class AwsService:
    """Answers every request by `answer`: (status, body). `asked` are those so far."""

    answer: Callable[[Asked], tuple[int, str]]
    asked: list[Asked] = field(default_factory=list[Asked])
    hold: threading.Event | None = None  # an answer waits for it
    url: str = ""

    @contextmanager
    def listening(self) -> Generator[AwsService]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._serve()

            def do_PUT(self) -> None:
                self._serve()

            def do_POST(self) -> None:
                self._serve()

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                form = {name: values[0] for name, values in parse_qs(body).items()}
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, form)
                service.asked.append(asked)
                if service.hold is not None:
                    service.hold.wait(10)
                status, answer = service.answer(asked)
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            if self.hold is not None:
                self.hold.set()
            server.shutdown()
            thread.join()
            server.server_close()


def until(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def sts_answer(action: str, seconds: float = 3600, key: str = "ASIAROLE") -> str:
    """The XML of AssumeRole and AssumeRoleWithWebIdentity."""
    return (
        f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
        f"<Credentials><AccessKeyId>{key}</AccessKeyId>"
        "<SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role-token</SessionToken>"
        f"<Expiration>{until(seconds)}</Expiration></Credentials>"
        "<AssumedRoleUser><AssumedRoleId>A:b</AssumedRoleId>"
        "<Arn>arn:aws:sts::123456789012:assumed-role/r/b</Arn></AssumedRoleUser>"
        f"</{action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>"
        f"</{action}Response>"
    )


def sts_error(code: str, message: str) -> str:
    return (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    )


def container_answer(key: str = "ASIAPOD", seconds: float = 3600) -> str:
    return json.dumps(
        {
            "AccessKeyId": key,
            "SecretAccessKey": "pod-secret",
            "Token": "pod-token",
            "Expiration": until(seconds),
        }
    )
