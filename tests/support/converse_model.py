"""Judges Converse bodies by AWS's own service model, more strictly than botocore does.

botocore's ParamValidator knows types, lengths and unknown members; this adds enumerations, patterns
and that a union has exactly one member.
"""

import base64
import json
import re
from functools import cache
from itertools import pairwise
from typing import Any, cast

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape
from botocore.validate import ParamValidator


@cache
def _input_shape() -> StructureShape:
    model = Loader().load_service_model("bedrock-runtime", "service-2")
    shape = ServiceModel(model).operation_model("Converse").input_shape
    assert isinstance(shape, StructureShape)
    return shape


def accepted(body: bytes, model: str = "anthropic.claude-3-haiku-20240307-v1:0") -> dict[str, Any]:
    """The decoded body, when the service's own definitions accept it; else an AssertionError."""
    decoded = cast("dict[str, Any]", json.loads(body))
    value = _typed(_input_shape(), {"modelId": model, **decoded}, "body")
    report = ParamValidator().validate(value, _input_shape())
    assert not report.has_errors(), report.generate_report()
    _check_conversation(decoded)
    return decoded


def _typed(shape: Shape, value: Any, path: str) -> Any:  # noqa: ANN401 - any JSON
    """The value as botocore takes it: blobs are bytes."""
    metadata = cast("dict[str, Any]", getattr(shape, "metadata", {}))
    if metadata.get("union"):
        assert len(value) == 1, f"{path}: a union with {list(value)}"
    if getattr(shape, "is_document_type", False):
        return value
    if isinstance(shape, StructureShape):
        assert isinstance(value, dict), path
        members = cast("dict[str, Any]", value)
        unknown = members.keys() - shape.members.keys()
        assert not unknown, f"{path}: {unknown}"
        return {
            name: _typed(shape.members[name], entry, f"{path}.{name}")
            for name, entry in members.items()
        }
    if isinstance(shape, ListShape):
        return [_typed(shape.member, entry, f"{path}[]") for entry in value]
    if isinstance(shape, MapShape):
        for name in value:
            _typed(shape.key, name, f"{path} key")
        return {name: _typed(shape.value, entry, f"{path}.{name}") for name, entry in value.items()}
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    if isinstance(shape, StringShape):
        assert not shape.enum or value in shape.enum, f"{path}: {value!r}"
        pattern = metadata.get("pattern")
        assert pattern is None or re.fullmatch(pattern, value), f"{path}: {value!r}"
    return value


def _check_conversation(body: dict[str, Any]) -> None:
    """What Bedrock refuses without its model saying so (seen as 400s)."""
    messages = body["messages"]
    assert messages[0]["role"] == "user"
    for one, two in pairwise(messages):
        assert one["role"] != two["role"], "roles do not alternate"
    names: list[str] = []
    blocks = [block for message in messages for block in message["content"]]
    for message in messages:
        assert message["content"]
        kinds = [kind for block in message["content"] for kind in block]
        assert "document" not in kinds or "text" in kinds
        assert message["role"] != "assistant" or kinds[-1] != "reasoningContent"
        for block in message["content"]:
            assert "text" not in block or block["text"].strip(), "a blank text"
            if "document" in block:
                names.append(block["document"]["name"])
                assert re.fullmatch(r"[A-Za-z0-9 ()\[\]-]+", names[-1])
                assert "  " not in names[-1]
    assert len(set(names)) == len(names)
    if any(block.keys() & {"toolUse", "toolResult"} for block in blocks):
        assert body["toolConfig"]["tools"]
    for index, message in enumerate(messages):
        used = [b["toolUse"]["toolUseId"] for b in message["content"] if "toolUse" in b]
        if used:
            after = messages[index + 1]["content"][: len(used)]
            answered = [block["toolResult"]["toolUseId"] for block in after]
            assert answered == used, "results are not right after their calls"
