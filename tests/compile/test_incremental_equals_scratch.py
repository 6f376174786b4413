"""Any sequence of changes, compiled step by step, ends where a compile from nothing ends."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from manifest_objects import NOW, api_key, deployment, hash_of, inputs, secret
from sluicegate.compile import Compilation, Settings, compile_all
from sluicegate.config import Config, canonical, entry_revision
from sluicegate.resources import Inputs, Resource, ResourceRef, Secret, SecretRef

NAMESPACES = ["a", "b", "c"]
NAMES = ["x", "y", "z"]
MODELS = ["m", "n", "m/1", "m*", "m/*"]
SECRET_VALUE = "sk-very-secret-value-"

namespaces = st.sampled_from(NAMESPACES)
names = st.sampled_from(NAMES)
fallback_names = st.sampled_from(["m", "n", "m/1", "m/2", "q", "n@b", "m@a"])


def maybe(values: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Each entry of a mapping, or not."""
    return st.fixed_dictionaries({}, optional=values)


sharing = st.sampled_from(
    [
        {"from": "Same"},
        {"from": "All"},
        {"from": "Names", "names": ["a"]},
        {"from": "Names", "names": ["b", "c"]},
        {"from": "Some"},
    ]
)
pools = maybe(
    {
        "strategy": st.sampled_from(["Weighted", "LeastBusy"]),
        "affinity": st.sampled_from(["None", "ApiKey"]),
        "fallbacks": st.lists(st.fixed_dictionaries({"model": fallback_names}), max_size=2),
    }
)
providers = st.sampled_from(
    [
        {"echo": {}},
        {"openai": {"model": "g"}},
        {"openai": {"model": "g", "baseURL": "http://10.0.0.1/v1"}},
        {"bedrock": {"model": "g", "region": "us-west-2"}},
        {"vertexAI": {"model": "g", "project": "p", "location": "eu"}},
        {"echo": {}, "openai": {"model": "g"}},
    ]
)
credentials = st.one_of(
    st.none(),
    st.fixed_dictionaries({"apiKeyRef": st.fixed_dictionaries({"name": names})}),
    st.fixed_dictionaries(
        {"secretRef": st.fixed_dictionaries({"name": names, "key": st.just("k")})}
    ),
)
deployment_specs = maybe(
    {
        "model": st.sampled_from(MODELS),
        "provider": providers,
        "credentials": credentials,
        "weight": st.sampled_from([1, 2, -1]),
        "priority": st.sampled_from([0, 1]),
        "suspended": st.sampled_from([True, False, "maybe"]),
        "allowedNamespaces": sharing,
        "pool": pools,
    }
)
key_sources = st.one_of(
    st.sampled_from([{"keyHash": hash_of("1")}, {"keyHash": hash_of("2")}, {"keyHash": "sk"}]),
    st.fixed_dictionaries(
        {"secretRef": st.fixed_dictionaries({"name": names, "key": st.just("k")})}
    ),
    st.fixed_dictionaries({"generate": st.fixed_dictionaries({"secretName": names})}),
)
expiries = st.sampled_from(
    ["2027-01-15T08:00:10Z", "2027-01-20T00:00:00Z", "2030-01-01T00:00:00Z", "tomorrow"]
)


def client_spec(source: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    return {"client": {**source, **rest}}


client_specs = st.builds(
    client_spec,
    key_sources,
    maybe({"revoked": st.sampled_from([True, False, 1]), "expiresAt": expiries}),
)
upstream_specs = st.one_of(
    st.fixed_dictionaries(
        {
            "upstream": st.fixed_dictionaries(
                {"secretRef": st.fixed_dictionaries({"name": names, "key": st.just("k")})}
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "upstream": st.fixed_dictionaries(
                {
                    "google": st.fixed_dictionaries(
                        {"secretRef": st.fixed_dictionaries({"name": names, "key": st.just("g")})}
                    )
                }
            )
        }
    ),
    st.just({"upstream": {"aws": {"roleARN": "arn:aws:iam::123456789012:role/r"}}}),
    st.fixed_dictionaries(
        {
            "upstream": st.fixed_dictionaries(
                {
                    "aws": st.fixed_dictionaries(
                        {"secretRef": st.fixed_dictionaries({"name": names})}
                    )
                }
            )
        }
    ),
    st.just({"upstream": {"secretRef": {"name": "x", "key": "k"}, "typo": 1}}),
    st.just({"upstream": {"aws": {"secretRef": {"name": "x"}, "typo": 1}}}),
    st.just({}),
)
secret_values = maybe(
    {
        "k": st.sampled_from(
            [SECRET_VALUE + "1", SECRET_VALUE + "2", SECRET_VALUE + "2\n", "", "a b"]
        ),
        "g": st.sampled_from(['{"type": "service_account"}', SECRET_VALUE]),
        "key": st.sampled_from([SECRET_VALUE + "1", SECRET_VALUE + "3"]),
        "aws_access_key_id": st.just("AKIA"),
        "aws_secret_access_key": st.just(SECRET_VALUE + "aws"),
        "previousKey": st.sampled_from([SECRET_VALUE + "1", SECRET_VALUE + "4"]),
        "previousNotAfter": st.just("2027-01-15T08:00:20Z"),
    }
)
all_settings = st.sampled_from(
    [
        Settings.folder(),
        Settings.cluster("a"),
        Settings.cluster(
            "a", sharing_namespaces=frozenset({"a", "b"}), upstream_allow=("10.0.0.0/8",)
        ),
    ]
)


class Changes(RuleBasedStateMachine):
    objects = Bundle("objects")

    def __init__(self) -> None:
        super().__init__()
        self.resources: dict[ResourceRef, Resource] = {}
        self.secrets: dict[SecretRef, Secret] = {}
        self.settings = Settings.folder()
        self.now = NOW
        self.before: Compilation | None = None
        self.compilation: Compilation | None = None

    @initialize(chosen=all_settings)
    def start(self, chosen: Settings) -> None:
        self.settings = chosen
        self.compile()

    @rule(namespace=namespaces, name=names, spec=deployment_specs)
    def apply_deployment(self, namespace: str, name: str, spec: dict[str, Any]) -> None:
        each = deployment(name, namespace, spec)
        self.resources[each.ref] = each
        self.compile()

    @rule(namespace=namespaces, name=names, spec=st.one_of(client_specs, upstream_specs))
    def apply_key(self, namespace: str, name: str, spec: dict[str, Any]) -> None:
        each = api_key(name, spec, namespace)
        self.resources[each.ref] = each
        self.compile()

    @rule(
        namespace=namespaces,
        name=names,
        values=secret_values,
        labelled=st.booleans(),
        minted_for=st.one_of(st.none(), names),
    )
    def apply_secret(
        self,
        namespace: str,
        name: str,
        values: dict[str, str],
        labelled: bool,
        minted_for: str | None,
    ) -> None:
        each = secret(name, values, namespace, labelled=labelled, minted_for=minted_for)
        self.secrets[each.ref] = each
        self.compile()

    @rule(namespace=namespaces, name=names, kind=st.sampled_from(["ModelDeployment", "ApiKey"]))
    def delete(self, namespace: str, name: str, kind: str) -> None:
        if self.resources.pop(ResourceRef(kind, namespace, name), None) is not None:
            self.compile()

    @rule(namespace=namespaces, name=names)
    def delete_secret(self, namespace: str, name: str) -> None:
        if self.secrets.pop(SecretRef(namespace, name), None) is not None:
            self.compile()

    @rule(seconds=st.sampled_from([0, 1, 10, 20, 400_000]))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.compile()

    def compile(self) -> None:
        self.before = self.compilation
        now_there = Inputs(dict(self.resources), dict(self.secrets))
        self.compilation = compile_all(now_there, self.before, self.settings, self.now)

    @invariant()
    def equals_a_compile_from_nothing(self) -> None:
        if self.compilation is None:
            return
        shuffled = [*self.resources.values(), *self.secrets.values()]
        random.Random(len(shuffled)).shuffle(shuffled)
        base = self.before.config if self.before is not None else None
        scratch = compile_all(inputs(shuffled), base, self.settings, self.now)
        assert scratch.config == self.compilation.config
        assert canonical(scratch.config) == canonical(self.compilation.config)
        assert scratch.findings == self.compilation.findings
        assert scratch.changed == self.compilation.changed
        assert scratch.next_due == self.compilation.next_due
        for ref in self.resources:
            assert scratch.conditions(ref) == self.compilation.conditions(ref)

    @invariant()
    def holds_together(self) -> None:
        if self.compilation is None:
            return
        config: Config = self.compilation.config
        assert config.revisions == {
            entry_id: entry_revision(entry) for entry_id, entry in config.entries.items()
        }
        assert all(entry_id == entry.id for entry_id, entry in config.entries.items())
        before = (self.before.config if self.before is not None else Config({}, {})).entries
        differing = {
            entry_id
            for entry_id in before.keys() | config.entries.keys()
            if before.get(entry_id) != config.entries.get(entry_id)
        }
        assert self.compilation.changed == differing

    @invariant()
    def says_no_secret(self) -> None:
        if self.compilation is None:
            return
        said = [str(finding) for finding in self.compilation.diagnostics()]
        said += [repr(self.compilation.conditions(ref)) for ref in self.resources]
        said += [repr(self.compilation), repr(self.compilation.config.entries)]
        said += [repr(self.secrets), repr(self.compilation.inputs)]
        assert not [text for text in said if SECRET_VALUE in text]

    @invariant()
    def is_stable(self) -> None:
        """Compiled again, with nothing changed, nothing changes."""
        if self.compilation is None:
            return
        again = compile_all(
            self.compilation.inputs, self.compilation.config, self.settings, self.now
        )
        assert not again.changed
        assert again.findings == self.compilation.findings


TestChanges = Changes.TestCase
TestChanges.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
