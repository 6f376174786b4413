"""How much work a compile does: counted in steps, since a shared machine is no place to time it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from manifest_objects import NOW, client, compiled, deployment, inputs
from sluicegate.compile import Compilation, Settings, compile_steps
from sluicegate.resources import Inputs, Inventory, Resource, load_text

T = TypeVar("T")
FOLDER = Settings.folder()


def driven(steps: Generator[None, None, T]) -> tuple[int, T]:
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return count, end.value
        count += 1


def many() -> list[Resource]:
    objects = [
        deployment(f"d{number}", f"team{number % 10}", {"pool": {"fallbacks": [{"model": "d0"}]}})
        for number in range(1, 300)
    ]
    return [*objects, deployment("d0", "team0"), *(client(f"k{number}") for number in range(300))]


def changed_in(before: Inputs, new: Resource) -> Inputs:
    return Inputs(
        {**before.resources, new.ref: new},
        before.secrets,
        since=before.token,
        changed=frozenset({new.ref}),
    )


def test_a_first_compile_takes_a_step_for_each_object() -> None:
    objects = many()
    count, result = driven(compile_steps(inputs(objects), None, FOLDER, NOW))
    assert count >= len(objects)
    assert len(result.config.entries) == len(objects) + 300  # each deployment has its pool


def test_one_changed_object_takes_a_few_steps_and_changes_one_entry() -> None:
    before = compiled(*many())
    for new, expected in (
        (client("k7", spec={"models": ["a"]}), {"ak/default/k7"}),
        (deployment("d7", "team7", {"weight": 2}), {"md/team7/d7", "pool/team7/d7"}),
    ):
        steps = compile_steps(changed_in(before.inputs, new), before, FOLDER, NOW)
        count, result = driven(steps)
        assert count < 10
        assert result.changed == expected
        untouched = result.config.entries.keys() - result.changed
        assert all(result.config.entries[each] is before.config.entries[each] for each in untouched)


def test_nothing_changed_takes_no_step() -> None:
    before = compiled(*many())
    count, result = driven(compile_steps(before.inputs, before, FOLDER, NOW))
    assert count == 0
    assert result.changed == frozenset()
    assert result.config == before.config


def test_an_abandoned_compile_leaves_no_trace() -> None:
    before = compiled(*many())
    entries, findings = dict(before.config.entries), dict(before.findings)
    new = [deployment(f"d{number}", "team1", {"weight": 9}) for number in range(50)]
    steps = compile_steps(inputs([*many(), *new]), before, FOLDER, NOW)
    for _ in range(40):
        next(steps)
    steps.close()
    assert (before.config.entries, before.findings) == (entries, findings)
    again: Compilation = driven(compile_steps(inputs([*many(), *new]), before, FOLDER, NOW))[1]
    fresh = driven(compile_steps(inputs([*many(), *new]), before.config, FOLDER, NOW))[1]
    assert (again.config, again.changed) == (fresh.config, fresh.changed)


def test_a_snapshot_that_was_never_compiled_is_not_lost() -> None:
    """A source may drop a compile and take a newer snapshot: all that changed counts."""
    inventory = Inventory()
    text = (
        "apiVersion: sluicegate.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: %s}\n"
        "spec: {provider: {echo: {}}, weight: %d}\n"
    )
    inventory.replace("a", load_text("a", text % ("a", 1)))
    first = driven(compile_steps(inventory.snapshot(), None, FOLDER, NOW))[1]
    inventory.replace("a", load_text("a", text % ("a", 2)))
    inventory.snapshot()
    inventory.replace("b", load_text("b", text % ("b", 1)))
    second = driven(compile_steps(inventory.snapshot(), first, FOLDER, NOW))[1]
    assert second.changed >= {"md/default/a", "md/default/b"}
