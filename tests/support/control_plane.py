"""A real Kubernetes control plane on loopback: etcd, kube-apiserver, and more where asked for.

The programs come from `scripts/control-plane`. Nothing runs pods unless a test says so: with kwok
they seem to run, with `pod_node` they do. Every process can be killed, frozen and started again on
its own data.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec
import trustme

from free_ports import free_ports

ROOT = Path(__file__).resolve().parents[2]

_READY_SECONDS = 60.0
_AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules: [{level: Metadata}]
"""


class ControlPlaneMissing(Exception):
    """The programs have not been built; the text says how to."""


def program_folder(*more: str) -> Path:
    """Where etcd and kube-apiserver are, and what else is named. Raises ControlPlaneMissing."""
    found = subprocess.run(
        [ROOT / "scripts" / "control-plane", "where"], capture_output=True, text=True, check=True
    )
    folder = Path(found.stdout.strip())
    needed = ("etcd", "kube-apiserver", *more)
    missing = [name for name in needed if not os.access(folder / name, os.X_OK)]
    if missing:
        raise ControlPlaneMissing(
            f"{', '.join(missing)} not in {folder}: `make control-plane` builds them (needs Go)"
        )
    return folder


def kubectl_program() -> Path:
    """Of the same version. Raises ControlPlaneMissing."""
    return program_folder("kubectl") / "kubectl"


class Program:
    """One process of the control plane, and the one that takes its place after a kill."""

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} has not been started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Returns at once; `ControlPlane.ready` waits until it serves."""
        assert not self.running, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_dies_with_us(), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Alive, but answers nobody: a partition, as seen from outside."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""


def _dies_with_us() -> list[str]:
    """A worker that is ended by its time-out leaves no servers behind (where util-linux is)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


class AuditEvent(msgspec.Struct, frozen=True):
    """A request that the API server has answered."""

    user: str
    verb: str
    resource: str  # with the subresource: "secrets", "pods/status"
    namespace: str
    name: str
    code: int
    user_agent: str


@dataclass
class ControlPlane:
    """Processes, their folder, and the administrator's kubeconfig."""

    url: str
    folder: Path
    admin_kubeconfig: Path
    etcd: Program
    api_server: Program
    authority: bytes = field(repr=False)  # PEM of the CA that signed the API server's certificate
    _programs: Path
    _etcd_url: str
    _beside: dict[str, Program] = field(default_factory=dict[str, Program])

    def is_ready(self) -> bool:
        """Whether the API server says that it serves."""
        tls = ssl.create_default_context(cadata=self.authority.decode())
        host, _, port = self.url.removeprefix("https://").partition(":")
        connection = http.client.HTTPSConnection(host, int(port), timeout=2, context=tls)
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False

    async def ready(self, seconds: float = _READY_SECONDS) -> None:
        """Wait until the API server serves."""
        async with asyncio.timeout(seconds):
            while not await asyncio.to_thread(self.is_ready):
                self._check_alive()
                await asyncio.sleep(0.05)

    def wait_ready(self) -> None:
        """The same, outside an event loop."""
        deadline = time.monotonic() + _READY_SECONDS
        while not self.is_ready():
            self._check_alive()
            assert time.monotonic() < deadline, f"not ready: {self.api_server.last_words()}"
            time.sleep(0.05)

    def _check_alive(self) -> None:
        for program in (self.etcd, self.api_server):
            if not program.running:
                raise ProgramEnded(f"{program.name} has ended: {program.last_words()}")

    def start_controller_manager(self) -> Program:
        """Garbage collection, namespace deletion, Deployments, default ServiceAccounts."""
        return self._start_beside(
            "kube-controller-manager",
            f"--kubeconfig={self.admin_kubeconfig}",
            f"--service-account-private-key-file={self.folder / 'tokens.key'}",
            f"--root-ca-file={self.folder / 'ca.pem'}",
            "--leader-elect=false",
            "--secure-port=0",
            "--use-service-account-credentials=false",
        )

    def start_scheduler(self) -> Program:
        """Binds pods to nodes."""
        return self._start_beside(
            "kube-scheduler",
            f"--kubeconfig={self.admin_kubeconfig}",
            "--leader-elect=false",
            "--secure-port=0",
        )

    def start_kwok(self) -> Program:
        """Acts for nodes with the annotation `kwok.x-k8s.io/node: fake`: their pods seem to run."""
        stages = sorted((self._programs / "stages").iterdir())
        return self._start_beside(
            "kwok",
            *(f"--config={path}" for path in stages),
            f"--kubeconfig={self.admin_kubeconfig}",
            "--manage-all-nodes=false",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            "--node-lease-duration-seconds=40",
            "--server-address=",
        )

    def _start_beside(self, name: str, *options: str) -> Program:
        """A client of the API server; started again if it has ended."""
        if name not in self._beside:
            command = [str(self._programs / name), *options]
            self._beside[name] = Program(name, command, self.folder)
        if not self._beside[name].running:
            self._beside[name].start()
        return self._beside[name]

    def audit(self) -> list[AuditEvent]:
        """Every request that has been answered so far, oldest first; watches when they end."""
        lines = (self.folder / "audit.log").read_text().splitlines()
        return [_audit_event(line) for line in lines]

    async def compact(self) -> None:
        """Forget all history: every older resourceVersion is answered with 410."""
        async with aiohttp.ClientSession(self._etcd_url) as session:
            async with session.post("/v3/kv/range", json={"key": "AA=="}) as answer:
                revision = json.loads(await answer.text())["header"]["revision"]
            compaction = {"revision": revision, "physical": True}
            async with session.post("/v3/kv/compaction", json=compaction) as answer:
                assert answer.status == 200, await answer.text()

    def mend(self) -> None:
        """Start what was killed, let go on what was frozen, and wait until it serves."""
        for program in (self.etcd, self.api_server):
            if program.running:
                program.resume()
            else:
                program.start()
        self.wait_ready()

    def stop(self) -> None:
        """Kill all that runs."""
        for program in (*self._beside.values(), self.api_server, self.etcd):
            program.kill()


class ProgramEnded(Exception):
    """A process of the control plane ended by itself."""


def _audit_event(line: str) -> AuditEvent:
    event = json.loads(line)
    target = event.get("objectRef", {})
    parts = (target.get("resource", ""), target.get("subresource", ""))
    return AuditEvent(
        user=event["user"].get("username", ""),
        verb=event["verb"],
        resource="/".join(part for part in parts if part),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        user_agent=event.get("userAgent", ""),
    )


@contextlib.contextmanager
def running_control_plane(folder: Path) -> Generator[ControlPlane]:
    """A control plane of its own, ready; its data and logs are in `folder`."""
    programs = program_folder()
    with free_ports(3) as (client_port, peer_port, api_port):
        plane = _prepare(programs, folder, client_port, peer_port, api_port)
        try:
            plane.etcd.start()
            plane.api_server.start()
            plane.wait_ready()
            yield plane
        finally:
            plane.stop()


def _prepare(
    programs: Path, folder: Path, client_port: int, peer_port: int, api_port: int
) -> ControlPlane:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    serving = ca.issue_cert("127.0.0.1", "localhost", "kubernetes.default.svc")
    serving.private_key_pem.write_to_path(str(folder / "serving.key"))
    serving.cert_chain_pems[0].write_to_path(str(folder / "serving.pem"))
    trustme.CA().private_key_pem.write_to_path(str(folder / "tokens.key"))
    (folder / "audit-policy.yaml").write_text(_AUDIT_POLICY)
    url, etcd_url = f"https://127.0.0.1:{api_port}", f"http://127.0.0.1:{client_port}"
    # Groups of Kubernetes are organisations in a certificate.
    admin = ca.issue_cert("admin", common_name="admin", organization_name="system:masters")
    kubeconfig = folder / "admin.kubeconfig"
    write_kubeconfig(
        kubeconfig,
        url,
        ca.cert_pem.bytes(),
        {
            "client-certificate-data": _base64(admin.cert_chain_pems[0].bytes()),
            "client-key-data": _base64(admin.private_key_pem.bytes()),
        },
    )
    etcd = [
        str(programs / "etcd"),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={etcd_url}",
        f"--advertise-client-urls={etcd_url}",
        f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer_port}",
        f"--initial-cluster=default=http://127.0.0.1:{peer_port}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]
    api_server = [
        str(programs / "kube-apiserver"),
        "--bind-address=127.0.0.1",
        f"--secure-port={api_port}",
        f"--etcd-servers={etcd_url}",
        "--etcd-compaction-interval=0",  # `ControlPlane.compact` does it when a test says so
        "--endpoint-reconciler-type=none",  # it would refuse a loopback address
        "--service-cluster-ip-range=10.0.0.0/24",
        "--authorization-mode=RBAC",
        f"--client-ca-file={folder / 'ca.pem'}",
        f"--tls-cert-file={folder / 'serving.pem'}",
        f"--tls-private-key-file={folder / 'serving.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'tokens.key'}",
        f"--service-account-signing-key-file={folder / 'tokens.key'}",
        f"--audit-policy-file={folder / 'audit-policy.yaml'}",
        f"--audit-log-path={folder / 'audit.log'}",
        "--audit-log-maxsize=0",
        "--profiling=false",
    ]
    return ControlPlane(
        url=url,
        folder=folder,
        admin_kubeconfig=kubeconfig,
        etcd=Program("etcd", etcd, folder),
        api_server=Program("kube-apiserver", api_server, folder),
        authority=ca.cert_pem.bytes(),
        _programs=programs,
        _etcd_url=etcd_url,
    )


def write_kubeconfig(
    path: Path, url: str, authority: bytes, user: dict[str, str], *, namespace: str = "default"
) -> None:
    """A kubeconfig (JSON is YAML) for one user; `user` as in the file: `{"token": …}`."""
    cluster = {"server": url, "certificate-authority-data": _base64(authority)}
    context = {"cluster": "test", "user": "test", "namespace": namespace}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": context}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
