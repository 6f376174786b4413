"""Objects in Google Cloud Storage, one for each batch, by its JSON API's media uploads.

https://cloud.google.com/storage/docs/json_api/v1/objects/insert
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from sluicegate.auth.upstream import CredentialFailed
from sluicegate.auth.upstream.google import AccessHeaders
from sluicegate.auth.upstream.renewed import Renewed
from sluicegate.sinks.http import HttpEndpoint, Unauthorised
from sluicegate.sinks.objects import CONTENT_TYPE, as_object
from sluicegate.sinks.sink import Item, SinkUnavailable

GOOGLE = "https://storage.googleapis.com"


class GcsSink:
    """Inserts objects into a bucket of the server at `base_url`.

    `access` gives the headers that authorise it; None: an emulator, which wants none.
    """

    name = "gs"
    of_traces = False

    def __init__(
        self, bucket: str, prefix: str, base_url: str, access: Renewed[AccessHeaders] | None
    ) -> None:
        self._prefix = prefix
        self._access = access
        url = f"{base_url}/upload/storage/v1/b/{quote(bucket, safe='')}/o?uploadType=media&name="
        self._endpoint = HttpEndpoint(url, {}, CONTENT_TYPE)

    async def send(self, batch: Sequence[Item]) -> None:
        """Insert a batch. Raises SinkUnavailable, SinkRefused."""
        name, body = as_object(self._prefix, batch)
        headers = await self._authorised()
        try:
            await self._endpoint.post(body, quote(name, safe=""), headers)
        except Unauthorised as error:
            if self._access is None:
                raise
            self._access.distrust()
            raise SinkUnavailable(str(error)) from error

    async def close(self) -> None:
        """End its connections."""
        await self._endpoint.close()

    async def _authorised(self) -> dict[str, str]:
        if self._access is None:
            return {}
        try:
            headers = await self._access.get()
        except CredentialFailed as error:
            raise SinkUnavailable(error.missing or str(error)) from error
        return {name.decode(): value.decode() for name, value in headers}
