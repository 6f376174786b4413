"""What a client key looks like, and the commands that make one."""

import hashlib
import json
import re
import string
import zlib

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.auth.keys import (
    digest,
    is_admissible,
    is_mistyped,
    key_hash,
    key_id,
    mint,
)
from sluicegate.cli.key import key_group

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
FORM = re.compile(r"sk-sg-([0-9A-Za-z]{8})-([0-9A-Za-z]{43})-([0-9A-Za-z]{6})")


def base62(value: int) -> str:
    digits = ""
    for _ in range(6):
        digits = BASE62[value % 62] + digits
        value //= 62
    return digits


def test_a_minted_key_has_the_documented_form_and_a_checksum_anyone_can_compute() -> None:
    key = mint()
    match = FORM.fullmatch(key)
    assert match is not None
    assert match[3] == base62(zlib.crc32(key.rpartition("-")[0].encode()))
    assert key_id(key) == match[1]
    assert is_admissible(key)
    assert not is_mistyped(key)


def test_minted_keys_differ_and_use_every_character_about_equally_often() -> None:
    keys = [mint() for _ in range(2000)]
    assert len(set(keys)) == len({key_id(key) for key in keys}) == len(keys)
    counts = dict.fromkeys(BASE62, 0)
    for key in keys:
        for char in key.split("-")[3]:
            counts[char] += 1
    expected = 2000 * 43 / 62  # 1387, standard deviation 37
    assert all(expected * 0.8 < count < expected * 1.2 for count in counts.values())


@given(st.integers(0, 65), st.sampled_from(BASE62))
def test_any_single_typing_error_is_found(position: int, replacement: str) -> None:
    key = mint()
    position %= len(key)
    typo = key[:position] + replacement + key[position + 1 :]
    assert (key_id(typo) is None) == (typo != key)
    if typo.startswith("sk-sg-"):
        assert is_mistyped(typo) == (typo != key)


@given(st.text(max_size=80))
def test_no_text_breaks_the_checks_and_only_minted_keys_have_an_id(text: str) -> None:
    assert key_id(text) is None
    assert len(digest(text)) == 32
    assert is_mistyped(text) == text.startswith("sk-sg-")


@pytest.mark.parametrize(
    ("key", "good"),
    [
        ("x" * 15, False),
        ("x" * 16, True),
        ("x" * 512, True),
        ("x" * 513, False),
        ("with a space in it", True),
        (" space at the start", False),
        ("space at the end... ", False),
        ("with\ta tab in it....", False),
        ("nicht-ascii-schlüssel", False),
        ("!#$%&'()*+,-./:;<=>?@[]^_`{|}~", True),
        ("", False),
    ],
)
def test_keys_made_elsewhere_are_16_to_512_printable_ascii_characters(key: str, good: bool) -> None:
    assert is_admissible(key) is good


def test_the_digest_is_the_sha256_of_the_whole_key() -> None:
    key = mint()
    assert digest(key) == digest(key.encode()) == hashlib.sha256(key.encode()).digest()
    assert key_hash(key) == "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def test_key_new_prints_the_key_alone_on_stdout_and_a_manifest_without_it_on_stderr() -> None:
    result = CliRunner().invoke(key_group, ["new", "--name", "ci"])
    key = result.stdout.strip()
    assert result.exit_code == 0
    assert FORM.fullmatch(key)
    assert key_hash(key) in result.stderr
    assert "metadata: {name: ci}" in result.stderr
    assert key not in result.stderr


@pytest.mark.parametrize("name", ["Ci", "c_i", "ci-", ""])
def test_key_new_takes_only_names_that_objects_may_have(name: str) -> None:
    result = CliRunner().invoke(key_group, ["new", "--name", name])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "an object's name has lower-case letters" in result.stderr


def test_key_new_as_json() -> None:
    result = CliRunner().invoke(key_group, ["new", "--json"])
    made = json.loads(result.stdout)
    assert made == {
        "id": key_id(made["key"]),
        "key": made["key"],
        "keyHash": key_hash(made["key"]),
    }
    assert result.stderr == ""


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_key_hash_reads_the_key_from_standard_input(ending: str) -> None:
    key = mint()
    result = CliRunner().invoke(key_group, ["hash"], input=key + ending)
    assert result.exit_code == 0
    assert result.stdout == key_hash(key) + "\n"


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        (b"short\n", "16 to 512"),
        (b"k" * 513, "16 to 512"),
        (b" a key that begins with a space\n", "without space"),
        (b"\xff\xfe" * 20, "printable ASCII"),
        (b"two-keys-at-once-1\ntwo-keys-at-once-2\n", "printable ASCII"),
        (b"sk-sg-" + b"a" * 40, "checksum"),
    ],
)
def test_key_hash_refuses_what_is_no_key_without_showing_it(typed: bytes, reason: str) -> None:
    result = CliRunner().invoke(key_group, ["hash"], input=typed)
    assert result.exit_code == 1
    assert reason in result.stderr
    assert result.stdout == ""
    assert typed.decode("latin-1").strip() not in result.output


def test_key_hash_takes_no_key_as_an_argument() -> None:
    result = CliRunner().invoke(key_group, ["hash", mint()])
    assert result.exit_code == 2
