"""`kubectl sluicegate …`, by a real kubectl: what people at a workstation see of a cluster."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from cluster_identities import (
    apply_manifests,
    make_namespace,
    make_service_account,
    may_list,
    service_account_token,
    speaking_with,
)
from control_plane import ROOT, ControlPlane, kubectl_program, write_kubeconfig
from eventually import eventually
from operated_cluster import Object, OperatedCluster, reason
from sluicegate.cluster import API_KEYS, MODEL_DEPLOYMENTS, ClusterClient, Metadata

pytestmark = pytest.mark.usefixtures("crds")

READERS = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: readers}
rules: [{apiGroups: [sluicegate.dev], resources: [modeldeployments, apikeys], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: readers}
subjects: [{kind: ServiceAccount, name: tenant, namespace: HOME}]
"""

DEEP = msgspec.Raw(b'{"a":' * 2_000 + b"1" + b"}" * 2_000)


class Workstation:
    """A kubeconfig, kubectl and the plugin; nothing else of ours."""

    def __init__(self, home: Path, plane: ControlPlane) -> None:
        self.home = home
        self.plane = plane
        self.programs = home / "bin"
        self.programs.mkdir()
        (self.programs / "kubectl").symlink_to(kubectl_program())
        scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
        module, _, function = scripts["kubectl-sluicegate"].partition(":")
        self.program("kubectl-sluicegate", f"from {module} import {function}\n{function}()\n")

    def program(self, name: str, code: str) -> None:
        path = self.programs / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!{sys.executable}\n{code}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def knows(self, user: dict[str, object], namespace: str) -> None:
        """`~/.kube/config`, as of a managed cluster."""
        path = self.home / ".kube" / "config"
        path.parent.mkdir(exist_ok=True)
        write_kubeconfig(path, self.plane.url, self.plane.authority, {}, namespace=namespace)
        config = json.loads(path.read_text())
        config["users"][0]["user"] = user
        path.write_text(json.dumps(config))

    async def run(self, *arguments: str, code: int = 0) -> str:
        process = await asyncio.create_subprocess_exec(
            *(str(self.programs / "kubectl"), "sluicegate", *arguments),
            env={
                "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(self.home),
                "PYTHONPATH": str(ROOT / "gateway"),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        assert process.returncode == code, out.decode()
        return out.decode()


@pytest.fixture
async def cluster(cluster: OperatedCluster) -> OperatedCluster:
    await cluster.start_gateways(2)
    await cluster.start_operator()
    return cluster


@pytest.fixture
def workstation(
    control_plane: ControlPlane, cluster: OperatedCluster, tmp_path: Path
) -> Workstation:
    return administrators(control_plane, tmp_path, cluster.namespace)


def administrators(plane: ControlPlane, folder: Path, namespace: str) -> Workstation:
    """A workstation where another program makes the credential."""
    home = folder / "home"
    home.mkdir()
    made = Workstation(home, plane)
    user = json.loads(plane.admin_kubeconfig.read_text())["users"][0]["user"]
    made.program("cloud-login", _plugin_code(user))
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "cloud-login",
        "args": ["--cluster", "test"],
        "env": [{"name": "CLOUD_ACCOUNT", "value": "team"}],
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": True,
    }
    made.knows({"exec": plugin}, namespace)
    return made


def _plugin_code(user: dict[str, str]) -> str:
    return f"""\
import base64, json, os, sys
asked = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
assert sys.argv[1:] == ["--cluster", "test"] and os.environ["CLOUD_ACCOUNT"] == "team"
assert asked["spec"]["cluster"]["server"].startswith("https://127.0.0.1:")
assert base64.b64decode(asked["spec"]["cluster"]["certificate-authority-data"])
made = {{
    "clientCertificateData": base64.b64decode("{user["client-certificate-data"]}").decode(),
    "clientKeyData": base64.b64decode("{user["client-key-data"]}").decode(),
}}
print(json.dumps({{"apiVersion": asked["apiVersion"], "kind": "ExecCredential", "status": made}}))
"""


async def test_what_is_live_and_what_is_to_be_changed(
    cluster: OperatedCluster, workstation: Workstation
) -> None:
    await cluster.deployment("good")
    await cluster.key("app", secretRef={"name": "absent", "key": "key"})
    await cluster.ready("good")
    ready = await cluster.until(MODEL_DEPLOYMENTS, "good", _served_by("2/2"))
    await cluster.until(API_KEYS, "app", lambda o: reason(o) == "SecretNotFound")
    place, revision = cluster.namespace, ready["status"]["revision"]
    said = await workstation.run("status", code=1)
    assert f"md    {place}/good  good   True   Ready           2/2       {revision}\n" in said
    assert f"ak    {place}/app          False  SecretNotFound" in said
    assert f"  ak {place}/app: SecretNotFound: " in said
    assert f"Gateways of {place}/sluicegate:\n  gw-0  serves publication" in said
    said = await workstation.run("status", f"{place}/good")
    assert f"ModelDeployment {place}/good: Ready, served by 2/2 gateways" in said
    assert "Programmed    True  Converged  Every gateway serves this version." in said
    said = await workstation.run("status", "bad", code=1)
    assert "there is no ModelDeployment or ApiKey bad" in said

    [_, second] = cluster.gateways
    await second.go_silent()
    await cluster.deployment("good", provider={"echo": {"text": "newer"}})
    await cluster.until(MODEL_DEPLOYMENTS, "good", _served_by("1/2"))
    answer = json.loads(await workstation.run("status", "good", "--json", code=1))
    [shown] = answer["objects"]
    assert (shown["ready"], shown["reason"], shown["gateways"]) == ("False", "Waiting", "1/2")
    assert second.name in shown["problems"][0]["message"]
    lags = [(one["name"], one["behind"] > 0) for one in answer["gateways"]]
    assert lags == [("gw-0", False), ("gw-1", True)]


def _served_by(summary: str) -> Callable[[Object], bool]:
    return lambda found: found["status"]["gateways"]["summary"] == summary


async def test_an_object_nested_deeply_hides_no_other(
    cluster: OperatedCluster, workstation: Workstation, admin: ClusterClient
) -> None:
    await cluster.deployment("a", model="gpt")
    deep: dict[str, object] = {
        "apiVersion": MODEL_DEPLOYMENTS.api_version,
        "kind": MODEL_DEPLOYMENTS.kind,
        "metadata": {"name": "deep"},
        "spec": {"provider": {"echo": {}}, "parameters": {"defaults": {"x": DEEP}}},
    }
    await admin.create(MODEL_DEPLOYMENTS, deep, Metadata, namespace=cluster.namespace)
    await cluster.ready("a")
    await cluster.until(MODEL_DEPLOYMENTS, "a", _served_by("2/2"))
    said = await workstation.run("status", code=1)
    assert "2/2" in said
    assert "deep" in said
    said = await workstation.run("explain", "gpt")
    assert f"{cluster.namespace}/a is asked first.\n" in said


async def test_who_would_answer_and_what_was_spent(
    cluster: OperatedCluster, workstation: Workstation
) -> None:
    await cluster.deployment("a", model="gpt", weight=3)
    await cluster.deployment("b", model="gpt", suspended=True)
    await cluster.key("app", generate={"secretName": "app-key"}, models=["gpt"])
    await cluster.key_ready("app")
    place = cluster.namespace
    said = await workstation.run("explain", "gpt", "--key", "app")
    assert f"gpt, asked for by key {place}/app: {place}/a is asked first.\n" in said
    assert f"{place}/b  suspended" in said
    assert "the operator's own options" in said
    said = await workstation.run("explain", "gtp", code=1)
    assert f"gtp, asked for by namespace {place}: nobody would answer." in said
    assert "Did you mean gpt?" in said

    # No kubelet runs here: what kubectl is asked to do is printed instead.
    printing = f"""\
import os, sys
if sys.argv[1] != "exec":
    os.execv("{kubectl_program()}", ["kubectl", *sys.argv[1:]])
print(*sys.argv[1:])
sys.exit(3)
"""
    workstation.program("kubectl", printing)
    spend = ("spend", "--by", "key", "--context", "test", "--since", "7d", "--csv")
    said = await workstation.run(*spend, code=3)
    asked = "-- sluicegate spend --by key --since 7d --csv"
    assert said in {f"exec --context=test -n {place} gw-{one} {asked}\n" for one in (0, 1)}
    said = await workstation.run("spend", "-n", "default", code=1)
    assert "no gateway of default/sluicegate is running" in said


async def test_a_tenant_sees_what_it_may(
    cluster: OperatedCluster, workstation: Workstation, admin: ClusterClient
) -> None:
    place, elsewhere = cluster.namespace, f"{cluster.namespace}-unwatched"
    await make_namespace(admin, elsewhere)
    other = OperatedCluster(cluster.plane, admin, elsewhere, cluster.folder, cluster.stack)
    await other.deployment("nobodys")
    await cluster.deployment("a")
    await cluster.ready("a")
    for namespace in (place, elsewhere):
        await apply_manifests(admin, READERS, namespace=namespace, replace={"HOME": place})
    await make_service_account(admin, place, "tenant")
    token = await service_account_token(admin, place, "tenant")
    async with speaking_with(cluster.plane, token, place) as tenant:
        for namespace in (place, elsewhere):
            await eventually(partial(may_list, tenant, MODEL_DEPLOYMENTS, namespace))
    workstation.knows({"token": token}, place)
    said = await workstation.run("status")
    assert f"md    {place}/a  a      True   Ready" in said
    assert f"you may not list the Leases of namespace {place}" in said
    assert "forbidden" in await workstation.run("status", "-A", code=1)
    said = await workstation.run("explain", "a")
    assert f"{place}/a is asked first" in said
    assert f"you may list the objects of {place} only" in said
    said = await workstation.run("status", "-n", elsewhere, code=1)
    assert f"md {elsewhere}/nobodys: NotSeen: The operator has not seen generation 1 of it" in said


async def test_what_is_wrong_with_the_way_to_the_cluster_is_told(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    workstation = administrators(control_plane, tmp_path, "default")
    said = await workstation.run("status", "--context", "absent", code=1)
    assert "context 'absent' is not there" in said
    for printed, end, words in (
        ("sk-secret", 7, "gave no credential: it ended with status 7"),
        ('{"status": {"token": "sk-secret"}}', 0, "printed no ExecCredential of 'client.auth"),
    ):
        workstation.program("cloud-login", f"print('{printed}')\nraise SystemExit({end})")
        said = await workstation.run("status", code=1)
        assert f"'cloud-login' of the kubeconfig {words}" in said
        assert "sk-secret" not in said
