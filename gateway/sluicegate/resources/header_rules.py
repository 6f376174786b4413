"""Which extra request headers a deployment may add.

Never what carries a credential or frames the message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sluicegate.resources.rules import VALIDATIONS, Keywords, quoted, quoted_list, validation

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
MAX_HEADERS = 32
_MAX_VALUE = 4096
_NAME_PATTERN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}"
_VALUE_PATTERN = r"(?:[!-~](?:[ \t!-~]*[!-~])?)?"
_NAME = re.compile(_NAME_PATTERN, re.ASCII)
_VALUE = re.compile(_VALUE_PATTERN, re.ASCII)
_OWN = FRAMING_HEADERS | {"host"}
_NAMES_SAY = "must have header names of letters, digits and '-'"
_TWICE_SAYS = "must not have the same name twice, in whatever case"
_CREDENTIAL_SAYS = "a credential belongs into a Secret; see spec.credentials"
_OWN_SAYS = "the gateway sets it itself"
_VALUES_SAY = "must have a value of printable ASCII, without line breaks"

# The same for the API server.
HEADER_KEYWORDS: Keywords = {
    "maxProperties": MAX_HEADERS,
    "additionalProperties": {
        "type": "string",
        "maxLength": _MAX_VALUE,
        "pattern": f"^{_VALUE_PATTERN}$",
        VALIDATIONS: [
            validation(f"self.matches({quoted(f'^{_VALUE_PATTERN}$')})", _VALUES_SAY),
        ],
    },
    VALIDATIONS: [
        validation(
            f"self.all(name, name.matches({quoted(f'^{_NAME_PATTERN}$')}))",
            _NAMES_SAY,
        ),
        validation(
            "self.all(name, self.exists_one(other, name.lowerAscii() == other.lowerAscii()))",
            _TWICE_SAYS,
        ),
        validation(
            f"!self.exists(name, name.lowerAscii() in {quoted_list(CREDENTIAL_HEADERS)})",
            f"must not have a header for a credential, such as Authorization: {_CREDENTIAL_SAYS}",
        ),
        validation(
            f"!self.exists(name, name.lowerAscii() in {quoted_list(_OWN)})",
            f"must not have a header that frames the message, such as Host: {_OWN_SAYS}",
        ),
    ],
}


def header_problem(headers: Mapping[str, str]) -> str | None:
    """Why these headers are refused (never with a value in it), or None."""
    if len(headers) > MAX_HEADERS:
        return f"must have at most {MAX_HEADERS} entries"
    if len({name.lower() for name in headers}) < len(headers):
        return _TWICE_SAYS
    problems = (_header_problem(name, value) for name, value in headers.items())
    return next((problem for problem in problems if problem is not None), None)


def _header_problem(name: str, value: str) -> str | None:
    folded = name.lower()
    if _NAME.fullmatch(name) is None:
        return _NAMES_SAY
    if folded in CREDENTIAL_HEADERS:
        return f"must not have {name!r}: {_CREDENTIAL_SAYS}"
    if folded in _OWN:
        return f"must not have {name!r}: {_OWN_SAYS}"
    if len(value) > _MAX_VALUE or _VALUE.fullmatch(value) is None:
        return f"{_VALUES_SAY}, for {name!r}"
    return None
