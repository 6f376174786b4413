"""A request is judged by the provider's own table before anything is sent."""

import json

import pytest

from sluicegate.api.parameters import decode_parameters
from sluicegate.api.request import decode_request
from sluicegate.api.support import FEATURES, Row, Support, SupportTable, asked, check
from sluicegate.model import ApiError

TABLE: SupportTable = {
    "temperature": Row(Support.NATIVE),
    "reasoning.effort": Row(Support.MAPPED, "as a budget"),
    "user": Row(Support.HINT),
    "top_p": Row(Support.UNSUPPORTED, "never"),
}
EVERYTHING: dict[str, object] = {
    "instructions": "x",
    "max_output_tokens": 16,
    "temperature": 0,
    "top_p": 1,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "top_logprobs": 1,
    "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
    "max_tool_calls": 1,
    "parallel_tool_calls": False,
    "truncation": "auto",
    "service_tier": "flex",
    "text": {"format": {"type": "json_object"}, "verbosity": "low"},
    "reasoning": {
        "effort": "low",
        "summary": "auto",
        "mode": "pro",
        "context": "auto",
    },
    "metadata": {"k": "v"},
    "user": "u",
    "safety_identifier": "s",
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "prompt_cache_options": {},
    "stream_options": {},
    "client_metadata": {},
    "context_management": [],
    "moderation": {},
    "access_programs": {},
    "background_options": {},
    "image": {},
}
NOTHING: dict[str, object] = {
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "top_logprobs": 0,
    "include": ["file_search_call.results"],
    "parallel_tool_calls": True,
    "truncation": "disabled",
    "service_tier": "auto",
    "text": {"format": {"type": "text"}},
    "reasoning": {"effort": None, "mode": "standard"},
    "temperature": None,
    "moderation": None,
}


def judge(drop: bool, **members: object) -> tuple[str, ...]:
    request = decode_request(json.dumps({"model": "m", "input": "hi", **members}).encode())
    return check(request, decode_parameters(request), TABLE, drop=drop)


def used(members: dict[str, object]) -> set[str]:
    request = decode_request(json.dumps({"model": "m", "input": "hi", **members}).encode())
    return set(asked(request, decode_parameters(request)))


def test_every_feature_is_seen_when_it_is_used() -> None:
    nothing: dict[str, object] = {}
    schema = {"format": {"type": "json_schema", "name": "n", "schema": nothing}}
    assert used(EVERYTHING) | used({"text": schema}) == set(FEATURES)


def test_defaults_and_nulls_ask_for_nothing() -> None:
    assert used(NOTHING) == set()


def test_what_the_table_supports_passes() -> None:
    assert (
        judge(drop=False, temperature=1, reasoning={"effort": "low"}, user="u", stream_options={})
        == ()
    )


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"top_p": 0.5}, "top_p"),
        ({"truncation": "auto"}, "truncation"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"text": {"format": {"type": "json_object"}}}, "text.format"),
    ],
)
def test_the_rest_is_refused_by_name_or_dropped(members: dict[str, object], param: str) -> None:
    with pytest.raises(ApiError) as refused:
        judge(drop=False, **members)
    assert refused.value.status == 400
    assert (refused.value.error.code, refused.value.error.param) == ("unsupported_parameter", param)
    assert len(judge(drop=True, **members)) == 1
