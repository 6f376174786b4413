"""Objects in S3, or in what speaks its protocol: one for each batch.

Loaded only where such a sink is configured: it needs the extra `s3`. Credentials, region and
endpoint are those that boto3 finds (AWS_ENDPOINT_URL_S3 for another server).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Protocol

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sluicegate.sinks.blocking import in_thread
from sluicegate.sinks.objects import CONTENT_TYPE, as_object
from sluicegate.sinks.sink import Item, SinkRefused, SinkUnavailable

_SECONDS = 8  # for a connection, and for an answer
_LATER = frozenset({408, 429, 500, 502, 503, 504})
# What S3 says of credentials that were good, or will be: whoever gives them renews them.
_OUTDATED = frozenset({"ExpiredToken", "InvalidAccessKeyId", "InvalidToken"})


class _Client(Protocol):
    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str) -> object:  # noqa: N803 -- boto3's names
        """Put one object."""
        ...

    def close(self) -> None:
        """End its connections."""
        ...


class S3Sink:
    """Puts objects into a bucket."""

    name = "s3"
    of_traces = False

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._client: _Client | None = None

    async def send(self, batch: Sequence[Item]) -> None:
        """Put a batch. Raises SinkUnavailable, SinkRefused."""
        key, body = as_object(self._prefix, batch)
        try:
            await in_thread(lambda: self._put(key, body))
        except ClientError as error:
            said = error.response
            status = int(said.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            code = said.get("Error", {}).get("Code", "")
            if code in _OUTDATED:
                await self.close()
            elif status not in _LATER:
                raise SinkRefused(f"it answered {status} {code}") from error
            raise SinkUnavailable(f"it answered {status} {code}") from error
        except BotoCoreError as error:
            await self.close()
            raise SinkUnavailable(f"no answer: {type(error).__name__}") from error

    async def close(self) -> None:
        """End its connections, and forget the credentials, which boto3 looks for only once."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _put(self, key: str, body: bytes) -> None:
        client = self._client
        if client is None:
            client = self._client = _client()  # it reads files
        client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=CONTENT_TYPE)


def _client() -> _Client:
    config = Config(
        connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": 1}
    )
    boto3: Any = importlib.import_module("boto3")  # it has no types
    made: _Client = boto3.session.Session().client("s3", config=config)
    return made
