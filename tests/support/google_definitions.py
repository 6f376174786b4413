"""Google's own definitions of a `generateContent` request, which forbid what they do not know."""

import importlib
import importlib.util
from typing import Any

from event_grammar import JsonObject

INSTALLED = (
    importlib.util.find_spec("google") is not None
    and importlib.util.find_spec("google.genai") is not None
)


def check_body(body: JsonObject) -> None:
    """Judge a body: by google-genai's models where that package is there, and by what they lack."""
    if INSTALLED:
        _check_models(body)
    check_content_rules(body)


def _check_models(body: JsonObject) -> None:
    types: Any = importlib.import_module("google.genai.types")
    models = {
        "systemInstruction": types.Content,
        "toolConfig": types.ToolConfig,
        "generationConfig": types.GenerationConfig,
    }
    lists = {
        "contents": types.Content,
        "tools": types.Tool,
        "safetySettings": types.SafetySetting,
    }
    tiers = {tier.value for tier in types.ServiceTier}
    for key, value in body.items():
        if key in models:
            models[key].model_validate(value)
        elif key in lists:
            for each in value:
                lists[key].model_validate(each)
        else:
            assert key == "serviceTier"
            assert value in tiers


def check_content_rules(body: JsonObject) -> None:
    """What the models do not say: each part is one thing, the user begins, results follow calls."""
    contents = body["contents"]
    assert contents
    assert contents[0]["role"] == "user"
    owed: list[str] = []
    for content in contents:
        assert content["parts"]
        for part in content["parts"]:
            assert len(part.keys() - {"thoughtSignature"}) == 1
        answers = [p["functionResponse"] for p in content["parts"] if "functionResponse" in p]
        assert [answer["name"] for answer in answers] == owed
        calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        assert not calls or content["role"] == "model"
        owed = [each["name"] for each in calls]
    assert owed == []
