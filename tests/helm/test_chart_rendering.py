"""What the chart makes of values: the same each time, as examples/cluster, and nothing misspelt."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Command

from cluster_identities import SHIPPED, documents
from control_plane import ROOT
from helm_chart import CHART, VALUES, rendered, rendered_text, run_helm
from sluicegate.cli.serve import serve
from sluicegate_operator.cli import run as run_operator

COMMANDS = {"gateway": serve, "operator": run_operator}
CLAIM = "stores.ledger.persistentVolumeClaim"
VALKEY = "stores.limits.valkey"
POLICED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "ServiceAccount",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}


def by_name(found: list[Any], kind: str) -> dict[str, Any]:
    return {each["metadata"]["name"]: each for each in found if each["kind"] == kind}


def pod_of(found: list[Any], role: str, name: str = "sluicegate") -> dict[str, Any]:
    return by_name(found, "Deployment")[f"{name}-{role}"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_lint_has_nothing_to_say(values: Path | None) -> None:
    answer = run_helm("lint", "--strict", CHART, *(["--values", values] if values else []))
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_the_same_values_render_the_same(values: Path | None) -> None:
    assert rendered_text(values) == rendered_text(values)


def test_nothing_is_random_or_looked_up() -> None:
    texts = [path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file()]
    banned = re.compile(r"\b(rand\w+|lookup|uuidv4|now|gen\w+Cert|genPrivateKey|Capabilities)\b")
    assert [found[0] for text in texts for found in banned.finditer(text)] == []


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("gateway.replica=2", "'replica' not allowed"),
        ("gateways.replicas=2", "'gateways' not allowed"),
        ("image.digest=sha256:short", "does not match pattern"),
        ("stores.limits.onFailure=panic", "must be one of 'local', 'reject'"),
        ("gateway.replicas=3", "or accept that with stores.acceptLocal=true"),
        ("gateway.autoscaling.enabled=true", "or accept that with stores.acceptLocal=true"),
        (f"{CLAIM}.enabled=true,gateway.replicas=2,stores.acceptLocal=true", "that of one gateway"),
        (f"{CLAIM}.enabled=true,stores.ledger.existingSecret.name=postgresql", "not in both"),
        (f"{VALKEY}.enabled=true", "needs a Secret with a password"),
        (
            f"{VALKEY}.enabled=true,stores.limits.existingSecret.name=valkey",
            "in that of stores.limits.valkey, not in both",
        ),
        ("gateway.service.loadBalancerClass=a.example/b", "need gateway.service.type=LoadBalancer"),
        (
            "gateway.service.loadBalancerSourceRanges={10.0.0.0/8}",
            "need gateway.service.type=LoadBalancer",
        ),
        (
            "gateway.service.type=LoadBalancer,gateway.service.loadBalancerSourceRanges={10.0.0.1}",
            "does not match pattern",
        ),
        ("ingress.enabled=true", "ingress.hosts needs a host name"),
        ("httpRoute.enabled=true", "httpRoute.parentRefs needs a Gateway"),
    ],
)
def test_wrong_values_are_refused_in_plain_words(setting: str, told: str) -> None:
    answer = run_helm("template", "sluicegate", CHART, "--set", setting)
    assert answer.returncode != 0
    assert told in answer.stderr


@pytest.mark.parametrize(
    "settings",
    [
        ("stores.acceptLocal=true",),
        ("stores.limits.existingSecret.name=valkey",),
        (f"{VALKEY}.enabled=true", f"{VALKEY}.passwordSecret.name=password"),
    ],
)
def test_several_gateways_share_their_counts_or_it_is_accepted(settings: tuple[str, ...]) -> None:
    found = rendered(None, "gateway.replicas=3", *settings)
    assert by_name(found, "Deployment")["sluicegate-gateway"]["spec"]["replicas"] == 3
    assert list(by_name(found, "PodDisruptionBudget")) == ["sluicegate-gateway"]


def test_both_roles_reach_the_store_of_limits() -> None:
    found = rendered(VALUES["several"])
    secret = {"name": "valkey", "key": "url"}
    expected = {"name": "SLUICEGATE_LIMITS_URL", "valueFrom": {"secretKeyRef": secret}}
    for role in COMMANDS:
        (container,) = pod_of(found, role)["containers"]
        assert expected in container["env"]
    rules = by_name(found, "NetworkPolicy")["sluicegate-operator"]["spec"]["egress"]
    assert {"ports": [{"port": 6379, "protocol": "TCP"}]} in rules


def test_identities_and_policies_are_those_of_examples_cluster() -> None:
    chart = {key(each): judged(each) for each in rendered(None) if each["kind"] in POLICED}
    for tenants in ("sluicegate-view", "sluicegate-edit"):
        del chart["ClusterRole", tenants, ""]
    names = ("operator", "gateway", "admission-policies")
    shipped = documents(*(SHIPPED / f"{name}.yaml" for name in names))
    assert chart == {key(each): judged(each) for each in shipped if each["kind"] in POLICED}


def key(document: dict[str, Any]) -> tuple[str, str, str]:
    metadata = document["metadata"]
    return document["kind"], metadata["name"], metadata.get("namespace", "")


def judged(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "metadata"}


@pytest.mark.parametrize("role", ["gateway", "operator"])
def test_pods_are_as_in_examples_cluster(role: str) -> None:
    shipped = pod_of(list(documents(SHIPPED / f"{role}.yaml")), role)
    pod = pod_of(rendered(None), role)
    for name in ("securityContext", "serviceAccountName", "volumes"):
        assert pod[name] == shipped[name]
    assert pod.get("terminationGracePeriodSeconds") == shipped.get("terminationGracePeriodSeconds")
    (ours,), (theirs,) = pod["containers"], shipped["containers"]
    for name in set(theirs) - {"args", "env"}:
        assert ours[name] == theirs[name], name
    assert set(theirs["args"]) <= set(ours["args"])
    assert [each for each in theirs["env"] if each not in ours["env"]] == []


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_the_commands_take_their_arguments(
    values: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rendered(values)
    name = "models-gateway" if "models-gateway-gateway" in by_name(found, "Deployment") else None
    for role, command in COMMANDS.items():
        (container,) = pod_of(found, role, name or "sluicegate")["containers"]
        with monkeypatch.context() as patched:
            for variable in container["env"]:
                patched.setenv(variable["name"], variable.get("value", "1"))
            assert taken(command, container["args"])["config_name"] == (name or "sluicegate")


def taken(command: Command, arguments: list[str]) -> dict[str, Any]:
    """Raises click.UsageError for an argument that the command does not know."""
    return command.make_context("chart", list(arguments)).params


def test_a_rollout_takes_no_gateway_away_before_another_is_ready() -> None:
    strategy = by_name(rendered(None), "Deployment")["sluicegate-gateway"]["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_a_gateway_may_end_every_answer_before_it_is_killed() -> None:
    pod = pod_of(rendered(VALUES["several"]), "gateway")
    (container,) = pod["containers"]
    drain = taken(serve, container["args"])["drain_timeout"]
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert (drain, pause) == (600, 10)
    assert pod["terminationGracePeriodSeconds"] > drain + pause


def test_a_ledger_in_a_volume_outlives_the_pod_and_the_release() -> None:
    found = rendered(VALUES["volume"])
    claim = by_name(found, "PersistentVolumeClaim")["sluicegate-ledger"]
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    gateway = by_name(found, "Deployment")["sluicegate-gateway"]["spec"]
    assert gateway["strategy"] == {"type": "Recreate"}
    pod = pod_of(found, "gateway")
    volume = {"name": "ledger", "persistentVolumeClaim": {"claimName": "sluicegate-ledger"}}
    assert volume in pod["volumes"]
    (container,) = pod["containers"]
    places = {
        mount["mountPath"]: mount["name"]
        for mount in container["volumeMounts"]
        if mount["mountPath"].startswith("/var/lib")
    }
    assert places == {
        "/var/lib/sluicegate": "state",
        "/var/lib/sluicegate/ledger": "ledger",
        "/var/lib/sluicegate/spool": "ledger",
    }
    (url,) = (one["value"] for one in container["env"] if one["name"] == "SLUICEGATE_STORE_URL")
    folder = url.removeprefix("sqlite://").rpartition("/")[0]
    assert places[folder] == "ledger"


def test_a_claim_that_is_there_is_used() -> None:
    found = rendered(VALUES["volume"], f"{CLAIM}.existingClaim=books")
    assert by_name(found, "PersistentVolumeClaim") == {}
    volumes = {each["name"]: each for each in pod_of(found, "gateway")["volumes"]}
    assert volumes["ledger"]["persistentVolumeClaim"] == {"claimName": "books"}


def test_a_load_balancer_is_chosen_and_lets_in_whom_it_shall() -> None:
    balanced = by_name(rendered(VALUES["several"]), "Service")["sluicegate"]["spec"]
    assert balanced["type"] == "LoadBalancer"
    assert balanced["loadBalancerClass"] == "example.com/internal"
    assert balanced["loadBalancerSourceRanges"] == ["10.0.0.0/8", "2001:db8::/32"]
    plain = rendered(None, "gateway.service.type=LoadBalancer")
    assert set(by_name(plain, "Service")["sluicegate"]["spec"]) == {"type", "selector", "ports"}


def test_helm_test_asks_the_service() -> None:
    found = rendered(None, "gateway.service.port=8080")
    service = by_name(found, "Service")["sluicegate"]
    (hook,) = by_name(found, "Pod").values()
    (container,) = hook["spec"]["containers"]
    assert service["spec"]["ports"][0]["port"] == 8080
    assert '"http://sluicegate:8080/readyz"' in container["args"][0]


def test_rights_end_at_the_watched_namespaces() -> None:
    found = rendered(VALUES["namespaced"])
    bindings = [each["metadata"] for each in found if each["kind"] == "RoleBinding"]
    places = {each["namespace"] for each in bindings if each["name"].endswith("-operator-watch")}
    assert places == {"sluicegate", "team-a", "team-b"}
    assert by_name(found, "ClusterRoleBinding") == {}


def test_an_autoscaler_alone_says_how_many_gateways_there_are() -> None:
    found = rendered(VALUES["several"])
    assert "replicas" not in by_name(found, "Deployment")["sluicegate-gateway"]["spec"]
    (scaler,) = by_name(found, "HorizontalPodAutoscaler").values()
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (3, 30)


@pytest.mark.parametrize("keep", [True, False])
def test_crds_are_those_of_the_folder_and_stay(keep: bool) -> None:
    found = by_name(rendered(None, f"crds.keep={str(keep).lower()}"), "CustomResourceDefinition")
    expected = documents(*sorted((ROOT / "crds").glob("*.yaml")))
    policy = {"helm.sh/resource-policy": "keep"} if keep else None
    for crd in expected:
        made = found.pop(crd["metadata"]["name"])
        assert made["metadata"].pop("annotations", None) == policy
        assert made == crd
    assert found == {}


def test_crds_can_be_left_out() -> None:
    assert by_name(rendered(None, "crds.install=false"), "CustomResourceDefinition") == {}


def test_every_value_is_in_the_schema_and_nothing_else() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    del schema["properties"]["global"]  # helm sets it for a chart within a chart
    compare(schema, values, "")


def compare(schema: dict[str, Any], values: dict[str, Any], path: str) -> None:
    if "properties" not in schema:
        return
    assert schema["additionalProperties"] is False, path
    assert set(schema["properties"]) == set(values), path
    for name, value in values.items():
        compare(schema["properties"][name], value, f"{path}.{name}")


def test_further_objects_are_templates() -> None:
    found = rendered(VALUES["several"])
    assert by_name(found, "ConfigMap")["sluicegate-extra"]["data"] == {"a": "b"}
