"""The examples of docs/sdk.md run as they are printed."""

from __future__ import annotations

import contextlib
import io
import json
import re
import runpy
from pathlib import Path

import pytest

import priced_wires
import spoken_wires
from scripted_upstream import Call
from served_upstream import Served

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sdk.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


async def any_provider(call: Call) -> None:
    if call.target.endswith("/responses"):
        await spoken_wires.openai(call)
    elif call.target.endswith("/messages"):
        await spoken_wires.anthropic(call)
    elif call.target.endswith("/chat/completions"):
        await priced_wires.chat(call)
    else:
        await spoken_wires.google(call)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example(
    number: int, upstream: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    upstream.says(any_provider)
    for name, path in (("OPENAI", "/v1"), ("ANTHROPIC", ""), ("GOOGLE_GEMINI", "")):
        monkeypatch.setenv(f"{name}_BASE_URL", upstream.origin + path)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, "k")
    script = tmp_path / "example.py"
    example = EXAMPLES[number].replace("http://localhost:11434", upstream.origin)
    script.write_text(example, encoding="utf-8")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path(str(script), run_name="__main__")
    assert upstream.calls
    expected = {0: "Hello there\n0.000195\n", 2: "Hello there29\n"}
    assert printed.getvalue() == expected.get(number, printed.getvalue())


def test_the_page_has_its_examples() -> None:
    assert len(EXAMPLES) == 6
    assert json.dumps(EXAMPLES).count("sluicegate.") >= 6
