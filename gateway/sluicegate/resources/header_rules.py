"""Which extra request headers a deployment may add.

Never what carries a credential or frames the message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

CREDENTIAL_HEADERS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "x-goog-iam-authorization-token",
        "x-amz-security-token",
        "x-amz-date",
        "x-amz-content-sha256",
        "x-functions-key",
        "ocp-apim-subscription-key",
        "cookie",
    }
)
# RFC 9110 7.6.1, and what the transport writes itself.
FRAMING_HEADERS = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "content-type",
        "content-encoding",
        "accept-encoding",
        "expect",
    }
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", re.ASCII)
_VALUE = re.compile(r"[!-~]([ \t!-~]*[!-~])?|", re.ASCII)
MAX_HEADERS = 32
_MAX_VALUE = 4096


def header_problem(headers: Mapping[str, str]) -> str | None:
    """Why these headers are refused (never with a value in it), or None."""
    if len(headers) > MAX_HEADERS:
        return f"must have at most {MAX_HEADERS} entries"
    if len({name.lower() for name in headers}) < len(headers):
        return "must not have the same name twice, in whatever case"
    problems = (_header_problem(name, value) for name, value in headers.items())
    return next((problem for problem in problems if problem is not None), None)


def _header_problem(name: str, value: str) -> str | None:
    folded = name.lower()
    if _TOKEN.fullmatch(name) is None:
        return "must have header names of letters, digits and '-'"
    if folded in CREDENTIAL_HEADERS:
        return f"must not have {name!r}: a credential belongs into a Secret; see spec.credentials"
    if folded == "host" or folded in FRAMING_HEADERS:
        return f"must not have {name!r}: the gateway sets it itself"
    if len(value) > _MAX_VALUE or _VALUE.fullmatch(value) is None:
        return f"must have a value of printable ASCII, without line breaks, for {name!r}"
    return None
