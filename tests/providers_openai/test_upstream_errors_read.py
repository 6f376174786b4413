"""Of an error that is not quite OpenAI's envelope, the client still gets what it says."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.model import ApiError
from sluicegate.providers.openai.errors import upstream_error

_json: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def read(said: object, status: int = 400, **headers: str) -> ApiError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return upstream_error("default/primary", status, named, json.dumps(said).encode())


@pytest.mark.parametrize(
    ("said", "message", "code", "param"),
    [
        ({"error": {"message": "m", "code": "c", "param": "p"}}, "m", "c", "p"),
        ({"error": {"message": None, "code": "c", "param": "p"}}, None, "c", "p"),
        ({"error": {"message": "m", "code": "c", "param": ["p"]}}, "m", "c", None),
        ({"error": {"message": "m", "code": {"n": 1}, "param": "p"}}, "m", None, "p"),
        ({"error": {"message": "m", "code": 404, "type": 7}}, "m", "404", None),
        ({"error": {"message": "m", "code": 1.5}}, "m", None, None),
        ({"error": {"message": "m", "code": True}}, "m", None, None),
        ({"object": "error", "message": "m", "type": "t", "code": 400}, "m", "400", None),
        ({"message": "m", "error": None}, "m", None, None),
        ({"message": "m", "error": []}, "m", None, None),
        ({"error": "m"}, "m", None, None),
        ({"detail": "m"}, "m", None, None),
        ({"detail": {"message": "m", "code": "c"}}, "m", "c", None),
        ({"detail": [{"loc": ["body"], "msg": "m"}, {"msg": "n"}, 7]}, "m; n", None, None),
        ({"detail": None, "error": {}}, None, None, None),
        (["m"], None, None, None),
    ],
)
def test_one_odd_field_does_not_cost_the_others(
    said: object, message: str | None, code: str | None, param: str | None
) -> None:
    error = read(said).error
    assert error.message == (message or "Deployment default/primary answered HTTP 400.")
    assert (error.code, error.param) == (code, param)


@pytest.mark.parametrize(
    "said",
    [
        # vLLM, older vLLM, Ollama, FastAPI, OpenAI
        {"error": {"message": "The model `m` does not exist.", "param": "model", "code": 404}},
        {"object": "error", "message": "The model `m` does not exist.", "code": 404},
        {"error": {"message": 'model "m" not found, try pulling it first', "code": None}},
        {"error": "model 'm' not found"},
        {"detail": "No such model."},
        {"error": {"message": "No.", "code": "model_not_found", "param": "model"}},
    ],
)
def test_a_model_that_is_not_there(said: object) -> None:
    error = read(said, 404)
    assert (error.status, error.error.code, error.error.param) == (404, "model_not_found", "model")


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"message": "This model has no such answer.", "param": "previous_response_id"}},
        {"error": {"message": "The file for the model is gone.", "code": "file_not_found"}},
    ],
)
def test_something_else_that_is_not_there_is_told_as_it_is_said(said: object) -> None:
    error = read(said, 404)
    assert error.status == 404
    assert error.error.code != "model_not_found"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (402, {"error": {"message": "Payment required"}}),
        (402, {}),
        (429, {"error": {"message": "Spent.", "code": "insufficient_quota", "type": "t"}}),
    ],
)
def test_an_empty_account_is_no_rate_limit(status: int, said: object) -> None:
    error = read(said, status)
    assert (error.status, error.error.code, error.should_retry) == (
        429,
        "insufficient_quota",
        False,
    )


@given(_json, st.dictionaries(st.sampled_from(["message", "type", "code", "param"]), _json))
def test_any_json_gives_an_error(detail: object, said: dict[str, object]) -> None:
    for body in (said, {"error": said}, {"error": detail}, {"detail": detail}, detail):
        error = read(body, 500)
        assert error.status == 500
        assert error.error.message
        assert error.error.type
        assert len(error.body()) < 30_000


def test_a_long_error_is_shortened() -> None:
    long = "x" * 100_000
    assert len(
        read({"error": dict.fromkeys(["message", "type", "code", "param"], long)}).body()
    ) < (5000)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("86401", 86_400),
        ("1e300", 86_400),
        ("9" * 300, 86_400),
        ("1e400", None),
        ("-1", None),
        ("nan", None),
        ("", None),
        ("soon", None),
        ("Fri, 31 Dec 2100 23:59:59 GMT", 86_400),
        ("Fri, 99 Foo 0000 99:99:99 GMT", None),
    ],
)
def test_a_wait_is_a_day_at_most(value: str, seconds: float | None) -> None:
    assert read({}, 429, retry_after=value).retry_after == seconds


def test_milliseconds_are_more_exact_and_bounded_too() -> None:
    assert read({}, 429, retry_after_ms="1500", retry_after="7").retry_after == 1.5
    assert read({}, 429, retry_after_ms="1e300").retry_after == 86_400
    assert read({}, 429, retry_after_ms="x", retry_after="7").retry_after == 7
