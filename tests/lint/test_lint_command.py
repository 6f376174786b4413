"""`sluicegate lint`: the shared examples, exit codes, formats."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from sluicegate.cli.lint import lint
from sluicegate.resources.yaml_documents import parse_document, split_documents

EXAMPLES = Path(__file__).resolve().parents[3] / "shared" / "examples"
needs_examples = pytest.mark.skipif(
    not EXAMPLES.is_dir(), reason="the shared examples are not beside this repository"
)
GOOD = """\
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {name: echo}
spec: {provider: {echo: {}}}
"""
BAD = GOOD.replace("{provider", "{wieght: 2, provider")
NEEDS_SECRET = """\
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {name: gpt}
spec:
  provider: {openai: {model: gpt-4.1}}
  credentials: {secretRef: {name: s, key: k}}
"""
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {%s}\n"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(lint, [str(argument) for argument in arguments])


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def expectations() -> list[tuple[str, int, int, str]]:
    """(object, first line, last line, words) of each document of invalid.yaml."""
    path = EXAMPLES / "invalid.yaml"
    if not path.exists():
        return []
    found: list[tuple[str, int, int, str]] = []
    for piece in split_documents(path.read_text(encoding="utf-8")):
        document = parse_document(piece.text)
        words = re.search(r"# expect: (.+)", piece.text)
        assert isinstance(document, dict)
        metadata = document["metadata"]
        assert isinstance(metadata, dict)
        assert words is not None
        last = piece.line + piece.text.count("\n") + 1
        found.append((str(metadata["name"]), piece.line + 1, last, words.group(1)))
    return found


@needs_examples
@pytest.mark.parametrize(
    ("name", "first", "last", "words"), [pytest.param(*each, id=each[0]) for each in expectations()]
)
def test_each_invalid_example_is_refused_with_the_words_and_line(
    name: str, first: int, last: int, words: str
) -> None:
    path = EXAMPLES / "invalid.yaml"
    result = run(path)
    assert result.exit_code == 1
    lines = [line for line in result.output.splitlines() if f" default/{name}: " in line]
    assert len(lines) == 1, "an object that is refused is refused for one reason"
    message = lines[0].split(": ", 3)[3]
    assert words in message
    line = int(lines[0].removeprefix(f"{path}:").partition(":")[0])
    assert first <= line <= last


@needs_examples
def test_nothing_else_in_invalid_examples_is_said() -> None:
    count = len(expectations())
    output = run(EXAMPLES / "invalid.yaml").output.splitlines()
    assert len(output) == count + 1
    assert (
        output[-1]
        == f"{count} objects, {count} errors, 0 warnings, 0 objects of other kinds ignored"
    )


@needs_examples
@pytest.mark.parametrize("name", ["client-keys", "five-providers", "pool-and-fallbacks"])
def test_the_valid_examples_pass(name: str) -> None:
    result = run(EXAMPLES / f"{name}.yaml")
    assert result.exit_code == 0
    assert " 0 errors, " in result.output


def test_a_good_folder_passes(tmp_path: Path) -> None:
    result = run(written(tmp_path, a=GOOD, b="kind: Namespace\napiVersion: v1\n"))
    assert result.exit_code == 0
    assert result.output == "1 object, 0 errors, 0 warnings, 1 object of other kinds ignored\n"


def test_an_unknown_field_is_an_error_with_its_line(tmp_path: Path) -> None:
    folder = written(tmp_path, a=GOOD.replace("echo}", "other}") + "---\n" + BAD)
    result = run(folder)
    assert result.exit_code == 1
    assert result.output.splitlines()[0] == (
        f"{folder}/a.yaml:9: ModelDeployment default/echo: spec.wieght: "
        "unknown field 'wieght'; did you mean 'weight'?"
    )


def test_references_resolve_across_paths(tmp_path: Path) -> None:
    written(tmp_path, a=NEEDS_SECRET, b=SECRET % "k: sk-1")
    assert "0 errors, 0 warnings" in run(tmp_path / "a.yaml", tmp_path / "b.yaml").output


def test_a_secret_that_is_elsewhere_is_a_warning(tmp_path: Path) -> None:
    result = run(written(tmp_path, a=NEEDS_SECRET))
    assert result.exit_code == 0
    assert result.output.startswith(
        f"{tmp_path}/a.yaml:6: ModelDeployment default/gpt: spec.credentials: "
        "there is no Secret 's' in namespace 'default' [warning]\n"
    )


def test_a_variable_that_is_not_set_here_is_a_warning(tmp_path: Path) -> None:
    result = run(written(tmp_path, a=NEEDS_SECRET, b=SECRET % "k: $(SLUICEGATE_LINT_NOT_SET)"))
    assert result.exit_code == 0
    assert "SLUICEGATE_LINT_NOT_SET" in result.output


def test_a_secret_without_the_entry_is_an_error_and_shows_no_value(tmp_path: Path) -> None:
    result = run(written(tmp_path, a=NEEDS_SECRET, b=SECRET % "other: sk-hidden"))
    assert result.exit_code == 1
    assert "has no entry 'k'" in result.output
    assert "sk-hidden" not in result.output


def test_a_key_that_is_to_be_minted_is_as_it_should_be(tmp_path: Path) -> None:
    text = GOOD.replace("ModelDeployment", "ApiKey").replace(
        "{provider: {echo: {}}}", "{client: {generate: {secretName: s}}}"
    )
    assert "0 errors, 0 warnings" in run(written(tmp_path, a=text)).output


def test_an_apikey_that_is_nowhere_is_an_error(tmp_path: Path) -> None:
    text = NEEDS_SECRET.replace("{secretRef: {name: s, key: k}}", "{apiKeyRef: {name: s}}")
    result = run(written(tmp_path, a=text))
    assert result.exit_code == 1
    assert "there is no ApiKey 's'" in result.output


def test_one_object_in_two_files_is_an_error_at_both(tmp_path: Path) -> None:
    result = run(written(tmp_path, a=GOOD, b="\n\n" + GOOD))
    assert result.exit_code == 1
    assert f"{tmp_path}/a.yaml:1: ModelDeployment default/echo" in result.output
    assert f"also in {tmp_path}/b.yaml:3; this one is used" in result.output
    assert f"{tmp_path}/b.yaml:3: ModelDeployment default/echo" in result.output


def test_a_file_that_is_reached_twice_counts_once(tmp_path: Path) -> None:
    written(tmp_path, a=GOOD)
    result = run(tmp_path, tmp_path / "a.yaml", f"{tmp_path}/./a.yaml")
    assert result.output.startswith("1 object, 0 errors")


def test_what_can_not_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a: \xff")
    result = run(tmp_path / "a.yaml", tmp_path / "nowhere.yaml", "")  # as "$DIR", which is not set
    assert result.exit_code == 1
    assert result.output.count("there is no such file or folder") == 2
    assert "a.yaml:1: line 1 is not UTF-8 text" in result.output
    assert "nowhere.yaml:1: there is no such file or folder" in result.output


def test_broken_yaml_is_an_error_with_its_line(tmp_path: Path) -> None:
    result = run(written(tmp_path, a=GOOD + "---\na: 1\nb: [1\n"))
    assert result.exit_code == 1
    assert f"{tmp_path}/a.yaml:7: the YAML does not parse" in result.output


NAMES = {
    "metadata: {name: Not_A_Name}": "metadata.name must be at most 253",
    "metadata: {name: 12}": "metadata.name is required, a string",
    "metadata: {labels: {a: b}}": "metadata.name is required",
    "metadata: {name: echo, namespace: A}": "metadata.namespace must be at most 63",
    "metadata: null": "metadata is required",
}


@pytest.mark.parametrize("metadata", NAMES)
def test_an_object_without_a_proper_name_is_told_of_once_and_wholly(
    tmp_path: Path, metadata: str
) -> None:
    """One run tells all: of this object, and of those around it."""
    nameless = BAD.replace("metadata: {name: echo}", metadata)
    secret = f"apiVersion: v1\nkind: Secret\n{metadata}\ndata: {{k: '%'}}\n"
    result = run(written(tmp_path, a=f"{BAD}---\n{nameless}---\n{secret}"))
    assert result.exit_code == 1
    lines = result.output.splitlines()
    file = f"{tmp_path}/a.yaml"
    unknown = "spec.wieght: unknown field 'wieght'"
    assert [line.split(": ")[0] for line in lines[:-1]] == [
        f"{file}:{number}" for number in (4, 8, 9, 13, 14)
    ]
    assert lines[0].startswith(f"{file}:4: ModelDeployment default/echo: {unknown}")
    assert lines[1].startswith(f"{file}:8: ModelDeployment: metadata")
    assert NAMES[metadata] in lines[1]
    assert lines[2].startswith(f"{file}:9: ModelDeployment: {unknown}")
    assert NAMES[metadata] in lines[3]
    assert lines[4].startswith(f"{file}:14: Secret: data.k: must be base64")
    assert lines[5].startswith("1 object, 5 errors")


def test_json_for_programs(tmp_path: Path) -> None:
    result = run(written(tmp_path, a=BAD), "--format", "json")
    assert result.exit_code == 1
    report = msgspec.json.decode(result.output)
    assert (report["objects"], report["errors"], report["warnings"]) == (1, 1, 0)
    assert report["diagnostics"][0] == {
        "file": f"{tmp_path}/a.yaml",
        "line": 4,
        "kind": "ModelDeployment",
        "namespace": "default",
        "name": "echo",
        "field": "spec.wieght",
        "reason": "InvalidSpec",
        "severity": "error",
        "message": "unknown field 'wieght'; did you mean 'weight'?",
    }


def test_annotations_for_a_github_workflow(tmp_path: Path) -> None:
    folder = tmp_path / "a,b:c%"
    folder.mkdir()
    result = run(written(folder, a=BAD), "--format", "github")
    assert result.exit_code == 1
    path = f"{tmp_path}/a%2Cb%3Ac%25/a.yaml"
    assert result.stdout == (
        f"::error file={path},line=4,title=ModelDeployment default/echo::"
        "spec.wieght: unknown field 'wieght'; did you mean 'weight'?\n"
    )


def test_without_a_path_it_says_what_is_missing() -> None:
    result = run()
    assert result.exit_code == 2
    assert "PATH" in result.output


MODEL = """\
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {name: gpt}
spec:
  provider: {%s}
"""


@pytest.mark.parametrize(
    ("provider", "pricing", "known"),
    [
        ("openai: {model: gpt-4.1}", "", True),
        ("openai: {model: my-own}", "", False),
        ("openai: {model: my-own}", 'pricing: {input: "1", output: "2"}', True),
        ("openai: {model: my-own}", 'pricing: {input: "1"}', False),
        ("anthropic: {model: my-own}", "", False),
        ("vertexAI: {model: gemini-2.5-flash, project: p, location: us-central1}", "", True),
        ("vertexAI: {model: my-own, project: p, location: us-central1}", "", False),
        ("bedrock: {model: amazon.nova-lite-v1:0, region: us-east-1}", "", True),
        ("bedrock: {model: my-own, region: us-east-1}", "", False),
        ("gemini: {model: gemini-2.5-flash}", "", True),
    ],
)
def test_a_model_that_nobody_has_a_price_of(
    tmp_path: Path, provider: str, pricing: str, known: bool
) -> None:
    text = MODEL % provider + (f"  {pricing}\n" if pricing else "")
    result = run(written(tmp_path, a=text))
    assert result.exit_code == 0
    told = [line for line in result.output.splitlines() if "no price is known" in line]
    assert len(told) == (not known)
    assert all("spec.provider" in line and "a.yaml:5:" in line for line in told)


def test_any_model_and_what_costs_nothing_need_no_price(tmp_path: Path) -> None:
    passed_on = MODEL.replace("spec:", "spec:\n  model: openai/*") % 'openai: {model: "*"}'
    assert "no price" not in run(written(tmp_path, a=passed_on, b=GOOD)).output


@pytest.mark.parametrize(
    ("provider", "parameters", "told"),
    [
        ("echo: {}", "defaults: {temperatures: 0}", "Unknown parameter: 'temperatures'"),
        ("anthropic: {model: claude-sonnet-4-5}", "overrides: {temperature: 9}", "a value <= 2"),
        ("openai: {model: gpt-4.1, api: ChatCompletions}", "defaults: {max_tokens: 9}", "Unknown"),
        ("openai: {model: gpt-4.1}", "defaults: {temperatures: 0}", None),
        ("echo: {}", "defaults: {tool_choice: required, temperature: 0}", None),
        ("echo: {}", "overrides: {temperature: null, no_such_thing: null}", None),
    ],
)
def test_a_parameter_that_every_request_is_refused_for(
    tmp_path: Path, provider: str, parameters: str, told: str | None
) -> None:
    text = MODEL % provider + f"  parameters:\n    {parameters}\n"
    lines = run(written(tmp_path, a=text)).output.splitlines()[:-1]
    assert len(lines) == (told is not None)
    for line in lines:
        assert line.startswith(
            f"{tmp_path}/a.yaml:7: ModelDeployment default/gpt: spec.parameters."
        )
        assert line.endswith("[warning]")
        assert "requests are refused for it: " in line
        assert told is not None
        assert told in line
