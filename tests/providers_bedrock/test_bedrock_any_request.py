"""Whatever is asked, the service accepts what is sent."""

from hypothesis import given
from hypothesis import strategies as st

from bedrock_calls import (
    ALL,
    FORMAT,
    IMAGE,
    WEATHER,
    call,
    result,
    sealed,
    translator,
)
from converse_model import accepted
from event_grammar import JsonObject


def text_part(words: str) -> JsonObject:
    return {"type": "input_text", "text": words}


def file_part(name: str) -> JsonObject:
    return {
        "type": "input_file",
        "file_data": "data:text/plain;base64,AAAA",
        "filename": name,
    }


def message(role: str, content: str | list[JsonObject]) -> JsonObject:
    return {"role": role, "content": content}


def reasoning(words: str) -> JsonObject:
    return {
        "type": "reasoning",
        "summary": [],
        "encrypted_content": sealed({"text": words, "signature": "s"}),
    }


def turn(call_id: str, output: str | list[JsonObject]) -> list[JsonObject]:
    return [call(call_id), result(call_id, output)]


def alone(item: JsonObject) -> list[JsonObject]:
    return [item]


words = st.text(max_size=20)
ids = st.sampled_from(["call_1", "x|y", "toolu_01", "é", "f" * 64])
parts = st.one_of(st.builds(text_part, words), st.just(IMAGE), st.builds(file_part, words))
messages = st.one_of(
    st.builds(message, st.just("user"), st.lists(parts, max_size=4)),
    st.builds(message, st.sampled_from(["user", "assistant", "system", "developer"]), words),
    st.builds(reasoning, words),
)
turns = st.builds(turn, ids, st.one_of(words, st.lists(parts, max_size=3)))


@given(
    said=st.lists(st.one_of(messages.map(alone), turns), max_size=8),
    tools=st.booleans(),
    choice=st.sampled_from(["none", "auto"]),
    form=st.sampled_from([{"type": "text"}, {"type": "json_object"}, FORMAT]),
    effort=st.sampled_from([None, "none", "minimal", "low", "high", "max"]),
    most=st.one_of(st.none(), st.integers(16, 100_000)),
    instructions=st.one_of(st.none(), words),
    model=st.sampled_from(ALL),
)
def test_whatever_is_asked_the_service_accepts(
    said: list[list[JsonObject]],
    tools: bool,
    choice: str,
    form: JsonObject,
    effort: str | None,
    most: int | None,
    instructions: str | None,
    model: str,
) -> None:
    items: list[JsonObject] = []
    seen: set[str] = set()
    for piece in said:
        call_id = piece[0].get("call_id")
        if call_id is None or call_id not in seen:
            items += piece
        if call_id is not None:
            seen.add(call_id)
    fields = {
        "input": items,
        "tools": [WEATHER] if tools else [],
        "tool_choice": choice,
        "text": {"format": form},
        "reasoning": {"effort": effort},
        "max_output_tokens": most,
        "instructions": instructions,
    }
    accepted(translator(fields, model, drop=True).request().body, model)
