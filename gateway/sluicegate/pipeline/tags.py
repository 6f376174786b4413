"""Tags of a request: `x-sluicegate-tags: team=search,feature=summary`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sluicegate.model import ApiError

HEADER = "x-sluicegate-tags"
_MOST = 16
_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?", re.ASCII)
_VALUE = re.compile(r"[!-+\--~]([ !-+\--~]{0,126}[!-+\--~])?", re.ASCII)  # visible, and no comma


def tags(headers: Mapping[str, str], of_key: Mapping[str, str]) -> Mapping[str, str]:
    """The request's tags and its key's; of a name that both have, the key's.

    Raises ApiError (400).
    """
    header = headers.get(HEADER)
    if header is None:
        return of_key
    found: dict[str, str] = {}
    for pair in header.split(","):
        name, _, value = (part.strip() for part in pair.partition("="))
        if not pair.strip():
            continue
        if not _KEY.fullmatch(name) or not _VALUE.fullmatch(value) or name in found:
            raise _invalid(
                "expected name=value pairs with commas between them, each name once: letters, "
                "digits and ._/- in a name, up to 63; visible characters in a value, up to 128"
            )
        found[name] = value
    if len(found) > _MOST:
        raise _invalid(f"at most {_MOST} tags")
    return {**found, **of_key}


def _invalid(reason: str) -> ApiError:
    return ApiError(400, f"Invalid '{HEADER}': {reason}.", code="invalid_value", param=HEADER)
