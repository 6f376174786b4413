"""Bedrock translators for tests: made from a deployment, driven by hand."""

import base64
import json
from collections.abc import Iterable
from typing import Any

import pytest

from converse_model import accepted
from event_grammar import JsonObject, check_answer, read_stream
from sluicegate.api.request import decode_request
from sluicegate.api.sealed import seal
from sluicegate.config import BedrockUpstream, Deployment, ModelInfo, SecretCredential
from sluicegate.model import ApiError, Event
from sluicegate.providers.bedrock import PROVIDER
from sluicegate.providers.bedrock.translator import BedrockTranslator

CLAUDE_3 = "anthropic.claude-3-sonnet-20240229-v1:0"
CLAUDE_37 = "us.anthropic.claude-3-7-sonnet-20250219-v1:0"
CLAUDE_4 = "us.anthropic.claude-sonnet-4-20250514-v1:0"
CLAUDE_45 = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
OPUS_46 = "global.anthropic.claude-opus-4-6-v1"
OPUS_47 = "us.anthropic.claude-opus-4-7"
GPT_OSS = "openai.gpt-oss-120b-1:0"
NOVA = "us.amazon.nova-micro-v1:0"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
MISTRAL = "mistral.mistral-large-2407-v1:0"
ALL = [CLAUDE_3, CLAUDE_37, CLAUDE_4, CLAUDE_45, OPUS_46, OPUS_47, GPT_OSS, NOVA, NOVA_2, LLAMA]
SECRET = "bedrock-api-key-0123456789"

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
IMAGE: JsonObject = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}
CITY: JsonObject = {
    "type": "object",
    "properties": {"city": {"type": "string", "minLength": 1}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: JsonObject = {"type": "function", "name": "weather", "description": "", "parameters": CITY}
FORMAT: JsonObject = {"type": "json_schema", "name": "city", "schema": CITY, "strict": True}


def deployment(model: str = CLAUDE_4, **settings: Any) -> Deployment:  # noqa: ANN401 - of the struct
    return Deployment(
        namespace="team",
        name="sonnet",
        model="public",
        upstream=BedrockUpstream(model=model, region="us-east-1"),
        credential=SecretCredential(SECRET),
        **settings,
    )


def translator(
    fields: JsonObject | None = None,
    model: str = CLAUDE_4,
    *,
    drop: bool = False,
    refuse_tools: bool = False,
    info: ModelInfo | None = None,
) -> BedrockTranslator:
    made = deployment(
        model,
        unsupported_parameters="Drop" if drop else "Reject",
        unsupported_tools="Reject" if refuse_tools else "Drop",
        model_info=info or ModelInfo(),
    )
    body = json.dumps({"model": "public", "input": "hi", **(fields or {})}).encode()
    return PROVIDER.connector(made, made.credential, {}).translator(decode_request(body), model)


def ready(fields: JsonObject | None = None, model: str = CLAUDE_4) -> BedrockTranslator:
    """A translator whose request is made."""
    made = translator({"stream": True, **(fields or {})}, model)
    made.request()
    return made


def streamed(
    chunks: Iterable[bytes], fields: JsonObject | None = None, model: str = CLAUDE_4
) -> JsonObject:
    """The judged answer of a stream."""
    return read_stream(event.frame for event in fed(ready(fields, model), chunks))


def fed(made: BedrockTranslator, chunks: Iterable[bytes]) -> list[Event]:
    events = [event for chunk in chunks for event in made.feed(chunk)]
    return events + made.close()


def whole(body: JsonObject, fields: JsonObject | None = None, model: str = CLAUDE_4) -> JsonObject:
    """The judged answer of a body."""
    made = translator(fields, model)
    made.request()
    response: JsonObject = json.loads(made.answer(json.dumps(body).encode()))
    check_answer(response)
    return response


def sent(fields: JsonObject, model: str = CLAUDE_4, **options: Any) -> JsonObject:  # noqa: ANN401 - passed on
    return accepted(translator(fields, model, **options).request().body, model)


def refused(fields: JsonObject, model: str = CLAUDE_4, **options: Any) -> ApiError:  # noqa: ANN401 - passed on
    with pytest.raises(ApiError) as error:
        translator(fields, model, **options).request()
    assert error.value.status == 400
    return error.value


def user(*parts: JsonObject) -> JsonObject:
    return {"role": "user", "content": list(parts)}


def text(words: str) -> JsonObject:
    return {"type": "input_text", "text": words}


def call(call_id: str, arguments: str = "{}", **more: Any) -> JsonObject:  # noqa: ANN401 - any JSON value
    return {
        "type": "function_call",
        "call_id": call_id,
        "name": "weather",
        "arguments": arguments,
    } | more


def result(call_id: str, output: object = "sunny") -> JsonObject:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def sealed(payload: dict[str, str], model: str = "anthropic.claude-sonnet-4-20250514-v1:0") -> str:
    return seal("bedrock", model, json.dumps(payload).encode())
