"""Words for a request that is not as the API says: the decoder's findings as OpenAI puts them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NoReturn

import msgspec

from sluicegate.model import ApiError

_BAD_REQUEST = 400
_LONGEST = 1000
_FINDING = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_TYPES = re.compile(r"Expected `(?P<expected>[^`]+)`(?:, got `(?P<got>[^`]+)`)?")
_LENGTH = re.compile(r"Expected `(?:str|array|object)` of length (?P<bound>[<>]=) (?P<limit>\d+)")
_PATTERN = re.compile(r"Expected `str` matching regex (?P<pattern>.*)", re.DOTALL)
_ENUM = re.compile(r"Invalid (?:enum )?value (?P<value>.*)", re.DOTALL)
_FIELD = re.compile(r"Object missing required field `(?P<name>[^`]+)`")
_POSITION = re.compile(r"(?:JSON is malformed: )?(?P<what>.*?)(?: \(byte (?P<byte>\d+)\))?")
# The decoder looks for the other half before it sees that the string ends here.
_HALF = re.compile(
    rb"(?<!\\)(?:\\\\)*(?P<half>\\u[dD][89abAB][0-9a-fA-F]{2})[^\\].{0,4}\Z", re.DOTALL
)
_LOOK_BACK = 64  # bytes
_NAMES: Mapping[str, str] = {
    "str": "a string",
    "int": "an integer",
    "float": "a decimal",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_KINDS: Mapping[type, str] = {
    str: "str",
    bool: "bool",
    int: "int",
    float: "float",
    list: "array",
    dict: "object",
}
MISSING_PARAMETER = "missing_required_parameter"


def missing(param: str) -> ApiError:
    """A parameter that must be there is not."""
    return invalid(f"Missing required parameter: '{param}'.", MISSING_PARAMETER, param)


def invalid(message: str, code: str | None, param: str | None) -> ApiError:
    """400 in the words given; what the client wrote is repeated at moderate length."""
    return ApiError(
        _BAD_REQUEST,
        message if len(message) <= _LONGEST else f"{message[:_LONGEST]}…",
        code=code,
        param=param if param is None else param[:_LONGEST],
    )


def wrong_type(param: str, expected: str, value: object) -> ApiError:
    """A decoded JSON value of another type than `expected` (with its article)."""
    got = _NAMES[_KINDS.get(type(value), "null")]
    return invalid(
        f"Invalid type for '{param}': expected {expected}, but got {got} instead.",
        "invalid_type",
        param,
    )


def not_supported_value(value: object, supported: tuple[str, ...], param: str) -> ApiError:
    """A value outside its closed set; the set is named."""
    shown = f"'{value}'" if isinstance(value, str) else str(value)
    return invalid(
        f"Invalid value: {shown}. Supported values are: {_listed(supported)}.",
        "invalid_value",
        param,
    )


def malformed(error: msgspec.DecodeError, body: bytes) -> ApiError:
    """A body that is not JSON, with the position in bytes."""
    found = _POSITION.fullmatch(str(error))
    what = found["what"] if found else "it is not JSON"
    byte = found["byte"] if found else None
    if byte is None:  # the decoder ran out of bytes
        half = _HALF.search(body, max(0, len(body) - _LOOK_BACK))
        what = "unexpected end" if half is None else "half of an escaped utf-16 surrogate pair"
        byte = str(len(body) if half is None else half.start("half"))
    return invalid(
        f"We could not parse the JSON body of your request: {what} at byte {byte}.", None, None
    )


def not_utf8(error: UnicodeDecodeError) -> ApiError:
    """A body that is not UTF-8 (RFC 8259, section 8.1)."""
    return invalid(
        f"We could not parse the JSON body of your request: invalid UTF-8 at byte {error.start}.",
        None,
        None,
    )


def too_deep() -> ApiError:
    """JSON nested deeper than any request needs."""
    return invalid("The JSON body of your request is nested too deeply.", None, None)


def refuse(
    error: msgspec.ValidationError,
    where: str = "",
    supported: Mapping[str, tuple[str, ...]] | None = None,
) -> NoReturn:
    """Raise the decoder's finding as an ApiError.

    `where` is the path of what was decoded, `supported` the closed sets by the path below it,
    without indices.
    """
    raise finding(error, where, supported) from error


def finding(
    error: msgspec.ValidationError,
    where: str = "",
    supported: Mapping[str, tuple[str, ...]] | None = None,
) -> ApiError:
    """The decoder's finding in OpenAI's words: code, path and message."""
    match = _FINDING.fullmatch(str(error))
    what, below = (match["what"], match["path"] or "") if match else (str(error), "")
    param = (where + below).removeprefix(".")
    if field := _FIELD.fullmatch(what):
        return missing(f"{param}.{field['name']}" if param else field["name"])
    if length := _LENGTH.fullmatch(what):
        return _length(param, length["bound"], int(length["limit"]))
    if pattern := _PATTERN.fullmatch(what):
        shown = pattern["pattern"].replace(r"\\Z", "$")  # as JavaScript, and OpenAI, spell it
        return invalid(
            f"Invalid '{param}': string does not match pattern. "
            f"Expected a string that matches the pattern {shown}.",
            "invalid_value",
            param,
        )
    if types := _TYPES.fullmatch(what):
        return _type(param, types["expected"], types["got"])
    if value := _ENUM.fullmatch(what):
        known = (supported or {}).get(re.sub(r"\[[^]]*\]", "[]", below))
        return _value(param, value["value"], known)
    return invalid(f"Invalid '{param}': {what[:1].lower()}{what[1:]}.", "invalid_value", param)


def _value(param: str, value: str, known: tuple[str, ...] | None) -> ApiError:
    if known:
        return not_supported_value(value.strip("'"), known, param)
    return invalid(f"Invalid value: {value}.", "invalid_value", param)


def _length(param: str, bound: str, limit: int) -> ApiError:
    if bound == "<=":
        return invalid(
            f"Invalid '{param}': string too long. Expected a string with maximum length {limit}.",
            "string_above_max_length",
            param,
        )
    return invalid(
        f"Invalid '{param}': string too short. Expected a string with minimum length {limit}.",
        "string_below_min_length",
        param,
    )


def _type(param: str, expected: str, got: str | None) -> ApiError:
    kinds = [kind for kind in expected.split(" | ") if kind != "null"] or ["null"]
    names = [_NAMES.get(kind, f"a {kind}") for kind in kinds]
    wanted = names[0] if len(names) == 1 else "one of " + " or ".join(names)
    found = f", but got {_NAMES.get(got, got)} instead" if got else ""
    if not param:
        return invalid(
            f"We could not parse the JSON body of your request: expected {wanted}{found}.",
            None,
            None,
        )
    return invalid(f"Invalid type for '{param}': expected {wanted}{found}.", "invalid_type", param)


def _listed(values: tuple[str, ...]) -> str:
    quoted = [f"'{value}'" for value in values]
    if len(quoted) < 2:
        return "".join(quoted)
    return ", ".join(quoted[:-1]) + (" and " if len(quoted) == 2 else ", and ") + quoted[-1]
