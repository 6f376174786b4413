"""The building blocks of the custom resources' fields.

Formats that say what to write, and their schema.

A pattern here is also valid RE2, because the CRDs carry the same one. Used by the models beside
this file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from sluicegate.resources.addresses import BASE_URL_PATTERN, AddressError, check_base_url
from sluicegate.resources.durations import DURATION_PATTERN, DurationError, parse_duration
from sluicegate.resources.timestamps import TIMESTAMP_PATTERN, TimestampError, parse_timestamp


class Fields(BaseModel):
    """A mapping of a custom resource.

    CamelCase outside, nothing unknown, no type guessed from another.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )


def refusal(message: str, at: tuple[str | int, ...] = ()) -> PydanticCustomError:
    """An error of our own wording; `at` is where below the validated value it belongs."""
    return PydanticCustomError("refused", "{message}", {"message": message, "at": at})


@dataclass(frozen=True, slots=True)
class Matches:
    """A string of a format. `says` ends the sentence "`field` …" and tells what to write."""

    pattern: str
    says: str
    max_length: int

    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        matcher = re.compile(self.pattern, re.ASCII)

        def check(value: str) -> str:
            if len(value) > self.max_length:
                raise refusal(f"{self.says} and has at most {self.max_length} characters")
            if matcher.fullmatch(value) is None:
                raise refusal(self.says)
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {
            **handler(schema),
            "pattern": f"^({self.pattern})$",
            "maxLength": self.max_length,
        }


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration between two bounds (seconds), kept as it was written."""

    least: float
    most: float

    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def check(value: str) -> str:
            try:
                seconds = parse_duration(value)
            except DurationError as error:
                raise refusal(str(error)) from None
            if not self.least <= seconds <= self.most:
                raise refusal(f"must be between {self.least:g}s and {self.most:g}s")
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^{DURATION_PATTERN}$", "maxLength": 32}


@dataclass(frozen=True, slots=True)
class _BaseURL:
    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def check(value: str) -> str:
            try:
                check_base_url(value)
            except AddressError as error:
                raise refusal(str(error)) from None
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^{BASE_URL_PATTERN}$", "maxLength": 2048}


@dataclass(frozen=True, slots=True)
class _Timestamp:
    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def check(value: str) -> str:
            try:
                parse_timestamp(value)
            except TimestampError as error:
                raise refusal(str(error)) from None
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^{TIMESTAMP_PATTERN}$", "maxLength": 40}


BaseURL: TypeAlias = Annotated[str, _BaseURL()]
Timestamp: TypeAlias = Annotated[str, _Timestamp()]

SUBDOMAIN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"

ObjectName: TypeAlias = Annotated[
    str,
    Matches(
        SUBDOMAIN,
        "must be an object's name: lower-case letters, digits, '-' and '.', "
        "beginning and ending with a letter or digit",
        253,
    ),
]
Namespace: TypeAlias = Annotated[
    str,
    Matches(
        LABEL,
        "must be a namespace's name: lower-case letters, digits and '-', "
        "beginning and ending with a letter or digit",
        63,
    ),
]
SecretKey: TypeAlias = Annotated[
    str,
    Matches(r"[-._a-zA-Z0-9]+", "must be an entry's name: letters, digits, '-', '_' and '.'", 253),
]
PublicModel: TypeAlias = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}\*?",
        "must begin with a letter or digit, go on with letters, digits and '._:/-' "
        "(128 characters at most), and may end in '*' to make it a prefix",
        129,
    ),
]
FallbackModel: TypeAlias = Annotated[
    str,
    Matches(
        rf"[A-Za-z0-9][A-Za-z0-9._:/-]{{0,127}}(@{LABEL})?",
        "must be a public model name, or model@namespace",
        192,
    ),
]
UpstreamModel: TypeAlias = Annotated[
    str,
    Matches(
        # Dots one by one: RE2 has no look-ahead, and '..' would climb in a path.
        r"\.?([!\"$&-,\-/->@-~]\.?)+",
        "must be the provider's model id, without white space, '?', '#', '%' and '..'",
        512,
    ),
]
HeaderToken: TypeAlias = Annotated[
    str, Matches(r"[A-Za-z0-9._-]+", "must be letters, digits, '.', '_' and '-'", 128)
]
Price: TypeAlias = Annotated[
    str,
    Matches(
        r"[0-9]{1,9}(\.[0-9]{1,9})?",
        'must be a decimal number in quotes, USD per million tokens, as in "3.00"',
        19,
    ),
]
Amount: TypeAlias = Annotated[
    str,
    Matches(r"[0-9]{1,9}(\.[0-9]{1,6})?", 'must be a decimal number in quotes, as in "50.00"', 16),
]
ShortDelay: TypeAlias = Annotated[str, Duration(0, 600)]
Timeout: TypeAlias = Annotated[str, Duration(0.001, 86_400)]


def exactly_one(model: BaseModel, message: str) -> None:
    """Refuse a union of optional fields unless exactly one of them is set."""
    present: Mapping[str, Any] = model.__dict__
    if sum(value is not None for value in present.values()) != 1:
        raise refusal(message)
