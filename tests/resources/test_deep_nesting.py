"""What the API server takes may be nested 10,000 levels deep: that is one object's fault only."""

import pytest

from sluicegate.compile import Settings, compile_all
from sluicegate.resources import Inputs, Resource, ResourceRef

HEAD = '{"apiVersion":"sluicegate.dev/v1alpha1","kind":"ModelDeployment","metadata":{"name":"%s"'


def deployment(name: str, depth: int) -> Resource:
    nested = "[" * depth + "]" * depth
    text = HEAD % name + (
        ',"namespace":"team"},"spec":{"provider":{"echo":{}},'
        '"parameters":{"defaults":{"x":' + nested + "}}}}"
    )
    return Resource(ResourceRef("ModelDeployment", "team", name), text.encode())


@pytest.mark.parametrize("depth", [300, 995, 1100, 9990])
def test_an_object_that_is_nested_too_deep_is_left_out_and_the_others_stay(depth: int) -> None:
    deep, flat = deployment("deep", depth), deployment("flat", 1)
    inputs = Inputs({one.ref: one for one in (deep, flat)}, {})
    compilation = compile_all(inputs, None, Settings.cluster("sluicegate"), 0.0)
    assert [id_ for id_ in compilation.config.entries if id_.startswith("md/")] == ["md/team/flat"]
    (accepted,) = [c for c in compilation.conditions(deep.ref) if c.type == "Accepted"]
    assert (accepted.status, accepted.reason) == ("False", "InvalidSpec")
    assert "nested too deeply" in accepted.message
