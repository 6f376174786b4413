"""What a reasoning item carries for its maker comes back to its maker only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.sealed import seal, unseal


@given(provider=st.text(), model=st.text(), payload=st.binary())
def test_the_payload_comes_back_to_the_same_provider_and_model(
    provider: str, model: str, payload: bytes
) -> None:
    assert unseal(seal(provider, model, payload), provider, model) == payload


@pytest.mark.parametrize(("provider", "model"), [("gemini", "m"), ("bedrock", "other"), ("", "")])
def test_another_provider_or_model_gets_nothing(provider: str, model: str) -> None:
    assert unseal(seal("bedrock", "m", b"signature"), provider, model) is None


@given(st.one_of(st.none(), st.text(), st.text().map("sg1.".__add__)))
def test_foreign_content_is_left_out(content: str | None) -> None:
    assert unseal(content, "bedrock", "m") is None


@given(st.data())
def test_a_damaged_envelope_never_raises(data: st.DataObject) -> None:
    sealed = seal("bedrock", "m", b"signature")
    at = data.draw(st.integers(0, len(sealed) - 1))
    unseal(sealed[:at] + data.draw(st.characters()) + sealed[at + 1 :], "bedrock", "m")
    unseal(sealed[:at], "bedrock", "m")
