"""A container of a Pod as a process of this machine: its command, environment, token and volumes.

Everything comes from the Pod object, so what a chart renders is what runs. A pod has a loopback
address of its own, on which it has the very ports that its manifest names. What differs from a
container: the program is the one that is tested, not an image's; a volume is a folder, named to
the program in place of the path where it would be mounted; and `0.0.0.0` is the pod's own address.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster_identities import service_account_token
from control_plane import ROOT, ControlPlane
from sluicegate.cluster import SECRETS, ClusterClient, ResourceType

Object = dict[str, Any]

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
CONFIG_MAPS = ResourceType("", "v1", "ConfigMap", "configmaps")
# The image's own commands; `access` finds the pod's token where a kubelet would mount it.
_PROGRAMS = {"sluicegate": "sluicegate.cli", "sluicegate-operator": "sluicegate_operator.cli"}
_RUN = """\
import os, sys
from pathlib import Path
from sluicegate.cluster import load_access
load_access.__defaults__ = (os.environ, Path({token!r}))
from {module} import main
sys.exit(main())
"""


@dataclass(eq=False)
class PodProcess:
    """The one container of a pod, and what it has written."""

    pod: Object = field(repr=False)
    address: str
    folder: Path
    environ: Mapping[str, str] = field(repr=False)
    mounts: Mapping[str, Path]
    log: list[str] = field(default_factory=list[str], repr=False)
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)
    starts: int = 0
    peak_memory: int = 0

    @property
    def name(self) -> str:
        return self.pod["metadata"]["name"]

    @property
    def exit_code(self) -> int | None:
        """As a container has it: 128 and the signal's number for one that was killed."""
        code = None if self.process is None else self.process.returncode
        return code if code is None or code >= 0 else 128 - code

    @property
    def container(self) -> Object:
        (container,) = self.pod["spec"]["containers"]
        return container

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    def port(self, named: str | int) -> int:
        """The number of a port that a probe or a Service names."""
        ports = {port["name"]: port["containerPort"] for port in self.container.get("ports", ())}
        return ports[named] if isinstance(named, str) else named

    def url(self, port: str | int, path: str) -> str:
        return f"http://{self.address}:{self.port(port)}{path}"

    async def run(self) -> None:
        """Until it ends by itself or is signalled."""
        self.starts += 1
        self.process = process = await asyncio.create_subprocess_exec(
            *self._command(),
            env=self.environ,
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            assert process.stdout is not None
            async for line in process.stdout:
                self.log.append(line.decode(errors="replace"))
            await process.wait()
        finally:
            self.signal(signal.SIGKILL)
            await process.wait()

    def signal(self, number: signal.Signals) -> None:
        self._measure()
        if self.running:
            assert self.process is not None
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def _measure(self) -> None:
        """Bytes of memory that it has had at most; read while it lives."""
        if self.running and sys.platform == "linux":
            assert self.process is not None
            with contextlib.suppress(OSError, ValueError, StopIteration):
                status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
                peak = next(line for line in status if line.startswith("VmHWM"))
                self.peak_memory = max(self.peak_memory, int(peak.split()[1]) * 1024)

    def _command(self) -> list[str]:
        program, *fixed = self.container["command"]
        given = [*fixed, *self.container.get("args", ())]
        if program == "python":
            return [sys.executable, *given]
        code = _RUN.format(token=str(self.mounts[SERVICE_ACCOUNT]), module=_PROGRAMS[program])
        return [sys.executable, "-c", code, *(self._own(one) for one in given)]

    def _own(self, argument: str) -> str:
        return argument.replace("0.0.0.0", self.address)


async def pod_process(
    plane: ControlPlane,
    admin: ClusterClient,
    pod: Object,
    *,
    address: str,
    folder: Path,
    claims: Path,
) -> PodProcess:
    """What a kubelet does before it starts a container. NotFound: a Secret is not there yet."""
    (container,) = pod["spec"]["containers"]
    environ = await _environ(admin, pod, container)
    host, _, port = plane.url.removeprefix("https://").partition(":")
    environ |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    mounts = await _mount(admin, pod, container, folder / "volumes", claims)
    environ = {name: _moved(value, mounts) for name, value in environ.items()}
    paths = os.pathsep.join(str(ROOT / root) for root in ("gateway", "operator"))
    image = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": paths,
        "HOME": os.devnull,
        "SLUICEGATE_HOST": address,
        "TMPDIR": str(mounts.get("/tmp", folder)),
    }
    return PodProcess(pod, address, folder, image | environ, mounts)


async def _environ(admin: ClusterClient, pod: Object, container: Object) -> dict[str, str]:
    namespace = pod["metadata"]["namespace"]
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= await _secret(admin, namespace, source["secretRef"]["name"])
    for each in container.get("env", ()):
        if "value" in each:
            found[each["name"]] = each["value"]
        elif "fieldRef" in each["valueFrom"]:
            found[each["name"]] = _field(pod, each["valueFrom"]["fieldRef"]["fieldPath"])
        else:
            ref = each["valueFrom"]["secretKeyRef"]
            found[each["name"]] = (await _secret(admin, namespace, ref["name"]))[ref["key"]]
    return found


async def _secret(admin: ClusterClient, namespace: str, name: str) -> dict[str, str]:
    secret = await admin.get(SECRETS, name, Object, namespace=namespace)
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


async def _mount(
    admin: ClusterClient, pod: Object, container: Object, folder: Path, claims: Path
) -> dict[str, Path]:
    """Path in the container: the folder in its place. One below another is a folder below it."""
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", ())}
    mounts: dict[str, Path] = {}
    for mount in container.get("volumeMounts", ()):
        path, volume = mount["mountPath"], volumes[mount["name"]]
        mounts[path] = place = folder / path.lstrip("/")
        if "persistentVolumeClaim" in volume:
            claim = claims / volume["persistentVolumeClaim"]["claimName"]
            _link(place, claim / mount.get("subPath", ""))
            continue
        place.mkdir(parents=True, exist_ok=True)
        for name, text in (await _contents(admin, pod, volume)).items():
            (place / name).write_text(text)
    return mounts


def _link(place: Path, stored: Path) -> None:
    """What is in a claim outlives the pod."""
    stored.mkdir(parents=True, exist_ok=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(stored)


async def _contents(admin: ClusterClient, pod: Object, volume: Object) -> dict[str, str]:
    """The files of a volume; a projected one has those of its sources."""
    files: dict[str, str] = {}
    for source in volume.get("projected", {}).get("sources", (volume,)):
        if "configMap" in source:
            files |= await _config_map(admin, pod, source["configMap"]["name"])
        elif "serviceAccountToken" in source:
            token = source["serviceAccountToken"]
            files[token["path"]] = await _token(admin, pod, token["expirationSeconds"])
        elif "downwardAPI" in source:
            for item in source["downwardAPI"]["items"]:
                files[item["path"]] = _field(pod, item["fieldRef"]["fieldPath"])
        else:
            assert "emptyDir" in source, f"no such volume is known here: {source}"
    return files


async def _config_map(admin: ClusterClient, pod: Object, name: str) -> dict[str, str]:
    namespace = pod["metadata"]["namespace"]
    return (await admin.get(CONFIG_MAPS, name, Object, namespace=namespace))["data"]


async def _token(admin: ClusterClient, pod: Object, seconds: int) -> str:
    """One that is bound to this very pod (TokenRequest)."""
    metadata, account = pod["metadata"], pod["spec"]["serviceAccountName"]
    return await service_account_token(
        admin, metadata["namespace"], account, pod=metadata["name"], seconds=seconds
    )


def _field(pod: Object, path: str) -> str:
    """A field of the pod, as the downward API names it."""
    value: Any = pod
    for part in path.split("."):
        value = value[part]
    return value


def _moved(value: str, mounts: Mapping[str, Path]) -> str:
    """A path in the container, be it that of a URL, as this machine has it."""
    scheme, separator, rest = value.rpartition("://")
    inside = [path for path in mounts if rest == path or rest.startswith(f"{path}/")]
    if not inside:
        return value
    longest = max(inside, key=len)
    return f"{scheme}{separator}{mounts[longest]}{rest.removeprefix(longest)}"
