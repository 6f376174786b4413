"""What can go wrong between us and the API server."""

from __future__ import annotations

import msgspec


class AccessError(Exception):
    """There is no usable way to the API server; the text says why, without any credential."""


class ClusterError(Exception):
    """A request that did not get the answer it asked for."""


class ClusterUnreachable(ClusterError):
    """No answer: no connection, a broken one, or too late. It may have been carried out."""


class GarbledAnswer(ClusterError):
    """What answered does not speak the Kubernetes API."""


class ApiStatusError(ClusterError):
    """The API server's refusal; `retry_after` is in seconds."""

    def __init__(
        self, status: int, reason: str, message: str, *, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class Unauthorized(ApiStatusError):
    """401: the credential is unknown or has run out."""


class Forbidden(ApiStatusError):
    """403: RBAC or an admission policy refuses it."""


class NotFound(ApiStatusError):
    """404: no such object, or no such kind."""


class Conflict(ApiStatusError):
    """409: the object is at another resourceVersion, or a field is another manager's."""


class AlreadyExists(Conflict):
    """409 of a create."""


class Gone(ApiStatusError):
    """410: the resourceVersion or the list's continuation is too old."""


class Invalid(ApiStatusError):
    """422: the object breaks its schema, a CEL rule or a validating policy."""


_BY_STATUS = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
}


class _Details(msgspec.Struct, rename="camel"):
    retry_after_seconds: int | None = None


class _Status(msgspec.Struct):
    """`Status` of meta/v1."""

    code: int = 0
    reason: str = ""
    message: str = ""
    details: _Details | None = None


_status = msgspec.json.Decoder(_Status)
_LONGEST_MESSAGE = 500


def status_error(
    body: bytes | msgspec.Raw, status: int = 0, retry_after: float | None = None
) -> ApiStatusError:
    """Read a `Status` object. `status` and `retry_after` are the response's, where there is one."""
    try:
        said = _status.decode(body)
    except msgspec.DecodeError:  # a proxy's page
        said = _Status(reason="Unknown", message=bytes(body).decode(errors="replace"))
    code = said.code or status
    if retry_after is None and said.details is not None:
        retry_after = said.details.retry_after_seconds
    made = AlreadyExists if said.reason == "AlreadyExists" else _BY_STATUS.get(code, ApiStatusError)
    return made(code, said.reason, said.message[:_LONGEST_MESSAGE], retry_after=retry_after)
