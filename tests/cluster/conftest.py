"""Fixtures of the tier that runs against a real API server."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import uvloop

from cluster_identities import apply_manifests, install, make_namespace
from control_plane import (
    ROOT,
    ControlPlane,
    ControlPlaneMissing,
    program_folder,
    running_control_plane,
)
from released_cluster import ReleasedCluster, released_cluster
from served_cluster import ServedCluster
from sluicegate.cluster import ClusterClient, load_access


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def _programs() -> None:
    _needed()


def _needed(*more: str) -> None:
    try:
        program_folder(*more)
    except ControlPlaneMissing as missing:
        if os.environ.get("CI"):
            pytest.fail(f"{missing}; CI must not skip this", pytrace=False)
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def control_plane(
    _programs: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """One for all tests of this worker: nobody may break it."""
    with running_control_plane(tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest.fixture(scope="session")
def _breakable(_programs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with running_control_plane(tmp_path_factory.mktemp("breakable")) as plane:
        yield plane


@pytest.fixture
def breakable_control_plane(_breakable: ControlPlane) -> Iterator[ControlPlane]:
    """Another of this worker, to be killed, frozen and compacted; what is written to it stays."""
    yield _breakable
    _breakable.mend()


@pytest.fixture
def own_control_plane(_programs: None, tmp_path: Path) -> Iterator[ControlPlane]:
    """A new one for this test alone, where nothing else may be in it (3 s)."""
    folder = tmp_path / "control-plane"
    folder.mkdir()
    with running_control_plane(folder) as plane:
        yield plane


@pytest.fixture(scope="session")
def _every_program() -> None:
    """All that `scripts/control-plane` builds is there."""
    _needed("kube-controller-manager", "kube-scheduler", "kubectl", "kwok", "crds")


@pytest.fixture
def foreign_crds(_every_program: None) -> Path:
    """A folder with the CustomResourceDefinitions of others that the chart can make objects of."""
    return program_folder() / "crds"


@pytest.fixture
async def released(
    own_control_plane: ControlPlane, _every_program: None, tmp_path: Path
) -> AsyncIterator[ReleasedCluster]:
    """A new cluster, whose nodes run what helm installs in it as processes."""
    async with released_cluster(own_control_plane, tmp_path) as cluster:
        yield cluster


@pytest.fixture
async def admin(control_plane: ControlPlane) -> AsyncIterator[ClusterClient]:
    """The administrator of the shared control plane."""
    environ = {"KUBECONFIG": str(control_plane.admin_kubeconfig)}
    async with ClusterClient(await asyncio.to_thread(load_access, environ)) as client:
        yield client


@pytest.fixture
async def namespace(admin: ClusterClient) -> str:
    """A new namespace; it is left behind, for nothing here would finish its deletion."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    await make_namespace(admin, name)
    return name


@pytest.fixture
async def installed(control_plane: ControlPlane, admin: ClusterClient, namespace: str) -> str:
    """A namespace with what examples/cluster ships: accounts, roles and policies in force."""
    await install(control_plane, admin, namespace)
    return namespace


@pytest.fixture
async def cluster(
    control_plane: ControlPlane, admin: ClusterClient, installed: str, tmp_path: Path
) -> AsyncIterator[ServedCluster]:
    """An installation of which nothing runs yet."""
    async with AsyncExitStack() as stack:
        yield ServedCluster(control_plane, admin, installed, tmp_path, stack)


@pytest.fixture
async def crds(admin: ClusterClient) -> None:
    """Both of our kinds are served."""
    await apply_manifests(admin, *sorted((ROOT / "crds").glob("*.yaml")))
