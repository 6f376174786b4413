"""`sluicegate spend` as a person and as a script read it."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from ledger_records import encoded, recently, record
from sluicegate.cli import main
from sluicegate.ledger.ledger import store_of

OLD = 1_700_000_000.0  # 2023-11-14


@pytest.fixture
def state(tmp_path: Path, store_url: str) -> dict[str, str]:
    """The environment of a gateway whose ledger has some rows."""
    store = store_of(store_url, tmp_path)
    store.open()
    store.add(
        encoded(
            record(time=OLD, cost_usd=Decimal("2.5"), end_user="ann", tags={"team": "search"}),
            record(time=OLD, model="big", cost_usd=Decimal(10), end_user="=cmd()\x07"),
            recently(cost_usd=None, key=None),
            recently(cost_usd=Decimal("0.0000001"), estimated=True),
        )
    )
    store.close()
    return {"SLUICEGATE_STORE_URL": store_url, "SLUICEGATE_STATE_DIR": str(tmp_path)}


def spend(state: dict[str, str], *options: str) -> str:
    result = CliRunner().invoke(main, ["spend", *options], env=state, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_table_with_bars(state: dict[str, str]) -> None:
    lines = spend(state).splitlines()
    assert lines[0].split() == ["model", "calls", "input", "cached", "output", "USD"]
    assert lines[1].split()[:6] == ["big", "1", "1,000", "100", "200", "10.000000"]
    assert lines[2].split()[:6] == ["gpt", "3", "3,000", "300", "600", "2.500000"]
    assert lines[1].count("█") == 4 * lines[2].count("█") == 24
    assert lines[3].split() == ["total", "4", "4,000", "400", "800", "12.500000"]
    assert lines[4:] == [
        "1 call without a known price: not in the sums of money.",
        "1 call with estimated tokens.",
    ]


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("key", {"team-a/laptop", None}),
        ("end-user", {"ann", "=cmd()\x07", None}),
        ("tag", {"team=search", None}),
        ("model", {"gpt", "big"}),
    ],
)
def test_json(state: dict[str, str], by: str, names: set[str | None]) -> None:
    found = json.loads(spend(state, "--by", by, "--json"))
    assert {each["name"] for each in found["groups"]} == names
    assert found["total"]["cost_usd"] == "12.5000001"
    assert sum(Decimal(each["cost_usd"]) for each in found["groups"]) == Decimal("12.5000001")
    assert (found["total"]["unpriced_calls"], found["total"]["estimated_calls"]) == (1, 1)


def test_csv_is_safe_in_a_spreadsheet(state: dict[str, str]) -> None:
    rows = list(csv.DictReader(io.StringIO(spend(state, "--by", "end-user", "--csv"))))
    assert {row["name"] for row in rows} == {"ann", "'=cmd()\x07", ""}
    assert sum(Decimal(row["cost_usd"]) for row in rows) == Decimal("12.5000001")


def test_a_name_can_not_drive_the_terminal(state: dict[str, str]) -> None:
    assert "=cmd()?" in spend(state, "--by", "end-user")


def test_days_are_in_their_order(state: dict[str, str]) -> None:
    found = json.loads(spend(state, "--by", "day", "--json"))
    days = [each["name"] for each in found["groups"]]
    assert days == sorted(days)
    assert days[0] == "2023-11-14"


@pytest.mark.parametrize(
    ("since", "calls"), [("1h", 2), ("2023-11-14", 4), ("2023-11-15T00:00:00Z", 2)]
)
def test_since(state: dict[str, str], since: str, calls: int) -> None:
    assert json.loads(spend(state, "--since", since, "--json"))["total"]["calls"] == calls


@pytest.mark.parametrize("since", ["yesterday", "999999w", "0001-01-01T00:00:00+14:00"])
def test_what_can_not_be_meant(state: dict[str, str], since: str) -> None:
    result = CliRunner().invoke(main, ["spend", "--since", since, "--json"], env=state)
    assert result.exit_code == 2
    assert "7d" in result.output


def test_nothing_was_spent(tmp_path: Path, store_url: str) -> None:
    store = store_of(store_url, tmp_path)
    store.open()
    store.close()
    assert spend({"SLUICEGATE_STORE_URL": store_url}) == "Nothing was spent.\n"


def test_no_ledger_yet(tmp_path: Path, store_url: str) -> None:
    env = {"SLUICEGATE_STORE_URL": store_url, "SLUICEGATE_STATE_DIR": str(tmp_path)}
    result = CliRunner().invoke(main, ["spend"], env=env)
    assert result.exit_code == 1
    assert "there is no ledger" in result.output


def test_a_url_with_a_password_is_not_repeated(tmp_path: Path) -> None:
    env = {"SLUICEGATE_STORE_URL": "postgresql://me:hunter2@127.0.0.1:1/db"}
    result = CliRunner().invoke(main, ["spend", "--state-dir", str(tmp_path)], env=env)
    assert result.exit_code == 1
    assert "hunter2" not in result.output
