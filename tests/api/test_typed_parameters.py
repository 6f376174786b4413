"""The whole request, typed and judged, as providers that translate get it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.items import (
    Compaction,
    CompactionTrigger,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputText,
    Message,
    OpaqueItem,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
    SummaryText,
    check_pairs,
)
from sluicegate.api.parameters import (
    JsonObjectFormat,
    JsonSchemaFormat,
    Parameters,
    PlainFormat,
    decode_parameters,
)
from sluicegate.api.request import decode_request
from sluicegate.api.tools import (
    AllowedTools,
    CustomTool,
    ForcedCustom,
    ForcedFunction,
    ForcedHosted,
    ForcedMcp,
    FunctionTool,
    Grammar,
    NamespaceTool,
    OpaqueTool,
    ToolName,
)
from sluicegate.model import ApiError

EMPTY: list[object] = []
FUNCTION: dict[str, object] = {"type": "function", "name": "f", "parameters": {"type": "object"}}


def typed(**fields: object) -> Parameters:
    return decode_parameters(decode_request(json.dumps({"model": "m", **fields}).encode()))


def refusal(**fields: object) -> ApiError:
    with pytest.raises(ApiError) as caught:
        typed(**fields)
    assert caught.value.status == 400
    return caught.value


# ------------------------------------------------------------------------------------------ items


def test_a_string_is_a_user_message() -> None:
    assert typed(input="hi").items == (Message("user", "hi"),)
    assert typed().items == typed(input=None).items == typed(input=[]).items == ()


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"role": "user", "content": "x"}, Message("user", "x")),
        (
            {"type": "message", "role": "developer", "content": "x", "later": 1},
            Message("developer", "x"),
        ),
        (
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "a"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
                    {"type": "input_file", "file_data": "AA==", "filename": "f.pdf"},
                ],
            },
            Message(
                "user",
                (
                    InputText("a"),
                    InputImage(image_url="data:image/png;base64,AA=="),
                    InputFile(file_data="AA==", filename="f.pdf"),
                ),
            ),
        ),
        (
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "phase": "final_answer",
                "content": [
                    {"type": "output_text", "text": "a", "annotations": EMPTY, "logprobs": None},
                    {"type": "refusal", "refusal": "no"},
                ],
            },
            Message(
                "assistant",
                (OutputText("a"), Refusal("no")),
                id="msg_1",
                status="completed",
                phase="final_answer",
            ),
        ),
        (
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None},
            Reasoning(id="rs_1"),
        ),
        (
            {
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": "s"}],
                "content": [{"type": "reasoning_text", "text": "r"}],
                "encrypted_content": "x",
            },
            Reasoning((SummaryText("s"),), (ReasoningText("r"),), "x"),
        ),
        ({"type": "compaction", "encrypted_content": "x"}, Compaction("x")),
        ({"type": "compaction_trigger"}, CompactionTrigger()),
    ],
)
def test_items(item: dict[str, Any], expected: object) -> None:
    assert typed(input=[item]).items == (expected,)


def test_calls_and_their_outputs_in_any_order() -> None:
    items = [
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "b", "name": "g", "input": "text"},
        {
            "type": "custom_tool_call_output",
            "call_id": "b",
            "output": [{"type": "input_text", "text": "t"}],
        },
    ]
    assert typed(input=items).items == (
        FunctionCallOutput("a", "1"),
        FunctionCall("a", "f", "{}"),
        CustomToolCall("b", "g", "text"),
        CustomToolCallOutput("b", (InputText("t"),)),
    )


def test_an_unknown_kind_of_item_is_kept_as_it_came() -> None:
    (item,) = typed(input=[{"type": "local_shell_call", "x": [1.0]}]).items
    assert isinstance(item, OpaqueItem)
    assert item.type == "local_shell_call"
    assert json.loads(bytes(item.raw)) == {"type": "local_shell_call", "x": [1.0]}


def test_a_chat_style_part_is_refused_with_the_right_names() -> None:
    error = refusal(input=[{"role": "user", "content": [{"type": "text", "text": "x"}]}])
    assert error.error.code == "invalid_value"
    assert error.error.param == "input[0].content[0].type"
    assert error.error.message == (
        "Invalid value: 'text'. Supported values are: 'input_text', 'input_image', 'input_file', "
        "'output_text', and 'refusal'."
    )


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        ({"role": "tool", "content": "x"}, "invalid_value", "input[0].role"),
        ({"role": "user"}, "missing_required_parameter", "input[0].content"),
        ({"content": "x"}, "missing_required_parameter", "input[0].type"),
        ({"role": "user", "content": None}, "invalid_type", "input[0].content"),
        ({"role": "user", "content": [5]}, "invalid_type", "input[0].content[0]"),
        (
            {"role": "user", "content": [{"type": "input_text"}]},
            "missing_required_parameter",
            "input[0].content[0].text",
        ),
        (
            {"type": "function_call", "call_id": "a", "name": "f"},
            "missing_required_parameter",
            "input[0].arguments",
        ),
        (
            {"type": "function_call_output", "call_id": "a" * 65, "output": ""},
            "string_above_max_length",
            "input[0].call_id",
        ),
        (
            {"type": "function_call_output", "call_id": "", "output": ""},
            "string_below_min_length",
            "input[0].call_id",
        ),
        ({"type": 5}, "invalid_type", "input[0].type"),
        (5, "invalid_type", "input[0]"),
    ],
)
def test_bad_items_are_named_by_their_path(item: object, code: str, param: str) -> None:
    error = refusal(input=[item])
    assert (error.error.code, error.error.param) == (code, param)


def test_an_output_without_its_call() -> None:
    error = refusal(input=[{"type": "function_call_output", "call_id": "call_x", "output": ""}])
    assert error.error.message == "No tool call found for function call output with call_id call_x."
    assert (error.error.code, error.error.param) == (None, "input")


def test_a_call_without_its_output() -> None:
    call = {"type": "function_call", "call_id": "call_x", "name": "f", "arguments": "{}"}
    error = refusal(input=[call])
    assert error.error.message == "No tool output found for function call call_x."
    assert (error.error.code, error.error.param) == (None, "input")


def test_a_call_of_a_stored_conversation_may_be_answered() -> None:
    check_pairs([FunctionCallOutput("a", "1")], {"a", "b"})


def test_stored_items_can_not_be_named() -> None:
    for item in ({"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}):
        assert "'msg_1' not found" in refusal(input=[item]).error.message


# ------------------------------------------------------------------------------------------ tools


def test_tools() -> None:
    tools = [
        FUNCTION | {"strict": True, "description": "d", "defer_loading": True},
        {
            "type": "custom",
            "name": "c",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"},
        },
        {"type": "namespace", "name": "n", "description": "", "tools": [FUNCTION]},
        {"type": "web_search", "user_location": None},
    ]
    function, custom, namespace, hosted = typed(tools=tools).tools
    assert function == FunctionTool("f", "d", {"type": "object"}, strict=True)
    assert custom == CustomTool("c", None, Grammar("lark", "start: x"))
    assert namespace == NamespaceTool("n", (FunctionTool("f", None, {"type": "object"}),), "")
    assert isinstance(hosted, OpaqueTool)
    assert hosted.type == "web_search"


@pytest.mark.parametrize(
    ("tool", "code", "param"),
    [
        ({"name": "f"}, "missing_required_parameter", "tools[0].type"),
        ({"type": "function"}, "missing_required_parameter", "tools[0].name"),
        ({"type": "function", "name": "a b"}, "invalid_value", "tools[0].name"),
        ({"type": "function", "name": "a\n"}, "invalid_value", "tools[0].name"),
        ({"type": "function", "name": "a" * 129}, "string_above_max_length", "tools[0].name"),
        ({"type": "function", "name": ""}, "string_below_min_length", "tools[0].name"),
        (FUNCTION | {"parameters": EMPTY}, "invalid_type", "tools[0].parameters"),
        (
            {"type": "namespace", "name": "n", "tools": [{"type": "x", "name": "y"}]},
            "invalid_value",
            "tools[0].tools[0].type",
        ),
    ],
)
def test_bad_tools(tool: object, code: str, param: str) -> None:
    error = refusal(tools=[tool])
    assert (error.error.code, error.error.param) == (code, param)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("none", "none"),
        ("auto", "auto"),
        ("required", "required"),
        (None, "auto"),
        ({"type": "function", "name": "f"}, ForcedFunction("f")),
        ({"type": "custom", "name": "c"}, ForcedCustom("c")),
        ({"type": "mcp", "server_label": "s"}, ForcedMcp("s")),
        ({"type": "web_search"}, ForcedHosted("web_search")),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}, {"type": "web_search"}],
            },
            AllowedTools("required", (ToolName("function", "f"), ToolName("web_search"))),
        ),
    ],
)
def test_every_form_of_tool_choice(choice: object, expected: object) -> None:
    tools = [
        FUNCTION,
        {"type": "custom", "name": "c"},
        {"type": "mcp", "server_label": "s", "server_url": "https://s.example"},
        {"type": "web_search"},
    ]
    assert typed(tools=tools, tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ({"type": "function", "name": "x"}, "x"),
        ({"type": "custom", "name": "f"}, "f"),
        ({"type": "web_search"}, "web_search"),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "x"}]},
            "x",
        ),
    ],
)
def test_a_forced_tool_must_be_listed(choice: object, name: str) -> None:
    error = refusal(tools=[FUNCTION], tool_choice=choice)
    assert error.error.message == f"Tool choice '{name}' not found in 'tools' parameter."
    assert (error.error.code, error.error.param) == (None, "tool_choice")


@pytest.mark.parametrize(
    ("choice", "code", "param"),
    [
        ("any", "invalid_value", "tool_choice"),
        ({"name": "f"}, "missing_required_parameter", "tool_choice.type"),
        ({"type": "function"}, "missing_required_parameter", "tool_choice.name"),
        (
            {"type": "allowed_tools", "mode": "x", "tools": []},
            "invalid_value",
            "tool_choice.mode",
        ),
    ],
)
def test_bad_tool_choices(choice: object, code: str, param: str) -> None:
    error = refusal(tools=[FUNCTION], tool_choice=choice)
    assert (error.error.code, error.error.param) == (code, param)


def test_words_of_a_pattern() -> None:
    assert refusal(tools=[FUNCTION | {"name": "a b"}]).error.message == (
        "Invalid 'tools[0].name': string does not match pattern. "
        "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
    )


def test_required_needs_tools() -> None:
    assert refusal(tool_choice="required").error.param == "tool_choice"


# ---------------------------------------------------------------------------- options and ranges


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"type": "text"}, PlainFormat()),
        ({"type": "json_object"}, JsonObjectFormat()),
        (
            {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True},
            JsonSchemaFormat("n", {"type": "object"}, None, strict=True),
        ),
    ],
)
def test_text_formats(form: object, expected: object) -> None:
    assert typed(text={"format": form, "verbosity": "low"}).text.format == expected
    assert typed(text={}).text.format == PlainFormat()


def test_reasoning() -> None:
    reasoning = typed(reasoning={"effort": "xhigh", "summary": "auto"}).reasoning
    assert (reasoning.effort, reasoning.summary) == ("xhigh", "auto")
    assert typed(reasoning=None).reasoning.effort is None


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"foo": 1}, "unknown_parameter", "foo"),
        ({"stop": ["x"]}, "unknown_parameter", "stop"),
        ({"temperature": 3}, "decimal_above_max_value", "temperature"),
        ({"temperature": -1}, "decimal_below_min_value", "temperature"),
        ({"top_p": 1.5}, "decimal_above_max_value", "top_p"),
        ({"top_logprobs": 21}, "integer_above_max_value", "top_logprobs"),
        ({"max_output_tokens": 5}, "integer_below_min_value", "max_output_tokens"),
        ({"max_tool_calls": 0}, "integer_below_min_value", "max_tool_calls"),
        ({"truncation": "x"}, "invalid_value", "truncation"),
        ({"service_tier": "standard"}, "invalid_value", "service_tier"),
        ({"include": ["x"]}, "invalid_value", "include[0]"),
        ({"text": {"verbosity": "x"}}, "invalid_value", "text.verbosity"),
        ({"text": {"format": {"type": "xml"}}}, "invalid_value", "text.format.type"),
        (
            {"text": {"format": {"type": "json_schema", "schema": {}}}},
            "missing_required_parameter",
            "text.format.name",
        ),
        ({"reasoning": {"effort": "huge"}}, "invalid_value", "reasoning.effort"),
        (
            {"metadata": {str(i): "" for i in range(17)}},
            "object_above_max_properties",
            "metadata",
        ),
        ({"metadata": {"k" * 65: ""}}, "property_name_above_max_length", "metadata"),
        ({"metadata": {"k": "v" * 513}}, "string_above_max_length", "metadata.k"),
        ({"safety_identifier": "x" * 129}, "string_above_max_length", "safety_identifier"),
        ({"previous_response_id": "resp_1"}, "unsupported_parameter", "previous_response_id"),
        ({"conversation": {"id": "conv_1"}}, "unsupported_parameter", "conversation"),
        ({"background": True}, "unsupported_parameter", "background"),
        ({"prompt": {"id": "p"}}, "unsupported_parameter", "prompt"),
        (
            {"previous_response_id": "resp_1", "conversation": "conv_1"},
            "mutually_exclusive_parameters",
            None,
        ),
    ],
)
def test_what_is_refused(fields: dict[str, Any], code: str, param: str | None) -> None:
    error = refusal(**fields)
    assert (error.error.code, error.error.param) == (code, param)


def test_words_of_a_bound() -> None:
    assert refusal(temperature=-1).error.message == (
        "Invalid 'temperature': decimal below minimum value. "
        "Expected a value >= 0, but got -1 instead."
    )
    assert refusal(max_output_tokens=5).error.message == (
        "Invalid 'max_output_tokens': integer below minimum value. "
        "Expected a value >= 16, but got 5 instead."
    )
    assert refusal(temperature=2.25).error.message.endswith("<= 2, but got 2.25 instead.")


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0, "top_p": 1, "max_output_tokens": 16, "top_logprobs": 20},
        {"client_metadata": {"a": 1}, "prompt_cache_key": "k", "user": "u"},
        {"store": True, "background": False, "previous_response_id": None, "conversation": None},
        {"service_tier": "flex", "truncation": "auto", "include": ["reasoning.encrypted_content"]},
        {"stream": True, "stream_options": {"include_obfuscation": False}},
        {"metadata": {}, "text": None, "reasoning": {}, "tools": None, "temperature": None},
    ],
)
def test_what_is_accepted(fields: dict[str, Any]) -> None:
    assert typed(**fields).items == ()


def nested(depth: int) -> Any:  # noqa: ANN401 - a JSON Schema
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def test_schemas_deeper_than_any_walk_are_refused() -> None:
    for depth in (70, 300):
        function = FUNCTION | {"parameters": nested(depth)}
        form = {"type": "json_schema", "name": "n", "schema": nested(depth)}
        assert "nested too deeply" in refusal(tools=[function]).error.message
        assert "nested too deeply" in refusal(text={"format": form}).error.message
        inside = {"type": "namespace", "name": "n", "tools": [function]}
        assert "nested too deeply" in refusal(tools=[inside]).error.message
    assert typed(tools=[FUNCTION | {"parameters": nested(20)}]).tools


_json: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(
        ["message", "function_call", "function", "input_text", "user", "required", "namespace"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "role", "content", "name", "call_id", "output", "tools", "format", "mode"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)
_fields = st.sampled_from(["input", "tools", "tool_choice", "text", "reasoning", "include", "user"])


@given(st.dictionaries(_fields, _json | st.lists(_json, max_size=3)))
def test_arbitrary_fields_are_typed_or_refused(fields: dict[str, Any]) -> None:
    try:
        typed(**fields)
    except ApiError as error:
        refused = error
        assert refused.status == 400
