"""The building blocks of the custom resources' fields.

Formats that say what to write, and their schema.

A pattern here is also valid RE2, because the CRDs carry the same one. Used by the models beside
this file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, TypeVar, cast

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from sluicegate.resources.addresses import (
    BASE_URL_MAX_LENGTH,
    BASE_URL_REFUSALS,
    AddressError,
    check_base_url,
)
from sluicegate.resources.durations import (
    DURATION_MAX_LENGTH,
    DURATION_PATTERN,
    DURATION_SAYS,
    DurationError,
    parse_duration,
)
from sluicegate.resources.rules import VALIDATIONS, Keywords, Rule, quoted, validation
from sluicegate.resources.timestamps import (
    TIMESTAMP_MAX_LENGTH,
    TIMESTAMP_PATTERN,
    TIMESTAMP_SAYS,
    TimestampError,
    parse_timestamp,
)
from sluicegate.resources.yaml_documents import FieldPath

T = TypeVar("T")


def rules_of(model: type[BaseModel]) -> tuple[Rule[Any], ...]:
    """The rules of a mapping, in the order in which they stand."""
    members = cast("Mapping[str, object]", vars(model))
    return tuple(cast("Rule[Any]", each) for each in members.values() if isinstance(each, Rule))


def refusal(message: str, at: FieldPath = ()) -> PydanticCustomError:
    """An error of our own wording; `at` is where below the validated value it belongs."""
    return PydanticCustomError("refused", "{message}", {"message": message, "at": at})


class Fields(BaseModel):
    """A mapping of a custom resource.

    CamelCase outside, nothing unknown, no type guessed from another. A method that `rule` marks is
    judged once the fields are.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
        protected_namespaces=(),
        ignored_types=(Rule,),
    )

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Pydantic's schema, and the rules after it."""
        rules = rules_of(cls)
        schema = handler(source)
        if not rules:
            return schema

        def check(value: Fields) -> Fields:
            for rule in rules:
                place = rule.broken(value)
                if place is not None:
                    raise refusal(rule.says, place)
            return value

        return core_schema.no_info_after_validator_function(check, schema)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Pydantic's JSON schema, with the rules in CEL."""
        found = handler.resolve_ref_schema(handler(schema))
        rules = rules_of(cls)
        return {**found, VALIDATIONS: [rule.keywords() for rule in rules]} if rules else found


@dataclass(frozen=True, slots=True, eq=False)  # pydantic hashes it
class Format:
    """How a value is judged: here by `problem`, at the API server by the keywords of its schema.

    `problem` answers why a value is refused, as the end of the sentence "`field` …", or None.
    """

    problem: Callable[[Any], str | None]
    keywords: Keywords

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def check(value: T) -> T:
            problem = self.problem(value)
            if problem is not None:
                raise refusal(problem)
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), **self.keywords}


def matches(pattern: str, says: str, max_length: int) -> Format:
    """Strings of a pattern that is valid in Python and in RE2. `says` tells what to write."""
    matcher = re.compile(pattern, re.ASCII)

    def problem(value: str) -> str | None:
        if len(value) > max_length:
            return f"{says}, {max_length} characters at most"
        return None if matcher.fullmatch(value) else says

    return Format(problem, _patterned(pattern, says, max_length))


def duration(least: str, most: str) -> Format:
    """Durations between two bounds, kept as they were written."""
    lower, upper = parse_duration(least), parse_duration(most)
    says = f"must be between {least} and {most}"

    def problem(value: str) -> str | None:
        try:
            return None if lower <= parse_duration(value) <= upper else says
        except DurationError as error:
            return str(error)

    # CEL fails on what is no duration, and the pattern has said that already.
    between = (
        f"!self.matches({quoted(f'^{DURATION_PATTERN}$')}) || "
        f"(duration(self) >= duration({quoted(least)}) && "
        f"duration(self) <= duration({quoted(most)}))"
    )
    return Format(
        problem,
        _patterned(DURATION_PATTERN, DURATION_SAYS, DURATION_MAX_LENGTH, validation(between, says)),
    )


def _patterned(pattern: str, says: str, max_length: int, *more: Keywords) -> Keywords:
    """The schema of a string of a pattern.

    The pattern is there twice: for tools that read schemas, and with a message for people.
    """
    whole = f"^(?:{pattern})$"
    said = validation(f"self.matches({quoted(whole)})", says)
    return {"maxLength": max_length, "pattern": whole, VALIDATIONS: [said, *more]}


def _base_url_problem(value: str) -> str | None:
    try:
        check_base_url(value)
    except AddressError as error:
        return str(error)
    return None


def _timestamp_problem(value: str) -> str | None:
    try:
        parse_timestamp(value)
    except TimestampError as error:
        return str(error)
    return None


BaseURL: TypeAlias = Annotated[
    str,
    Format(
        _base_url_problem,
        {
            "maxLength": BASE_URL_MAX_LENGTH,
            VALIDATIONS: [validation(refused.cel(), refused.says) for refused in BASE_URL_REFUSALS],
        },
    ),
]
Timestamp: TypeAlias = Annotated[
    str,
    Format(
        _timestamp_problem,
        # Not as format date-time: with it, API servers take a list for a string (seen in 1.36).
        _patterned(TIMESTAMP_PATTERN, TIMESTAMP_SAYS, TIMESTAMP_MAX_LENGTH),
    ),
]

SUBDOMAIN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"

ObjectName: TypeAlias = Annotated[
    str,
    matches(
        SUBDOMAIN,
        "must be an object's name: lower-case letters, digits, '-' and '.', "
        "beginning and ending with a letter or digit",
        253,
    ),
]
Namespace: TypeAlias = Annotated[
    str,
    matches(
        LABEL,
        "must be a namespace's name: lower-case letters, digits and '-', "
        "beginning and ending with a letter or digit",
        63,
    ),
]
SecretKey: TypeAlias = Annotated[
    str,
    matches(r"[-._a-zA-Z0-9]+", "must be an entry's name: letters, digits, '-', '_' and '.'", 253),
]
PublicModel: TypeAlias = Annotated[
    str,
    matches(
        r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}\*?",
        "must begin with a letter or digit, go on with letters, digits and '._:/-' "
        "(128 characters at most), and may end in '*' to make it a prefix",
        129,
    ),
]
FallbackModel: TypeAlias = Annotated[
    str,
    matches(
        rf"[A-Za-z0-9][A-Za-z0-9._:/-]{{0,127}}(@{LABEL})?",
        "must be a public model name, or model@namespace",
        192,
    ),
]
UpstreamModel: TypeAlias = Annotated[
    str,
    matches(
        # Dots one by one: RE2 has no look-ahead, and '..' would climb in a path.
        r"\.?([!\"$&-,\-/->@-~]\.?)+",
        "must be the provider's model id, without white space, '?', '#', '%' and '..'",
        512,
    ),
]
HeaderToken: TypeAlias = Annotated[
    str, matches(r"[A-Za-z0-9._-]+", "must be letters, digits, '.', '_' and '-'", 128)
]
Price: TypeAlias = Annotated[
    str,
    matches(
        r"[0-9]{1,9}(\.[0-9]{1,9})?",
        'must be a decimal number in quotes, USD per million tokens, as in "3.00"',
        19,
    ),
]
Amount: TypeAlias = Annotated[
    str,
    matches(r"[0-9]{1,9}(\.[0-9]{1,6})?", 'must be a decimal number in quotes, as in "50.00"', 16),
]
ShortDelay: TypeAlias = Annotated[str, duration("0s", "10m")]
Timeout: TypeAlias = Annotated[str, duration("1ms", "24h")]
