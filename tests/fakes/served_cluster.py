"""An operated cluster with real gateways, each a process under the token of its own pod."""

from __future__ import annotations

from collections.abc import Mapping

from cluster_identities import make_pod, service_account_kubeconfig
from operated_cluster import OperatedCluster
from served_folder import Served, served

_ACCOUNT = "sluicegate-gateway"


class ServedCluster(OperatedCluster):
    """With real gateways."""

    async def serve(self, pod: str, more: Mapping[str, str] | None = None) -> Served:
        """A gateway process in a pod of this name; `more` is of its environment."""
        made = await make_pod(self.admin, self.namespace, pod, service_account=_ACCOUNT)
        kubeconfig = await service_account_kubeconfig(
            self.plane, self.admin, self.namespace, _ACCOUNT, pod=pod, folder=self.folder
        )
        environ = {
            "KUBECONFIG": str(kubeconfig),
            "SLUICEGATE_CLUSTER": "true",
            "SLUICEGATE_POD_NAME": pod,
            "SLUICEGATE_POD_UID": made.metadata.uid,
            "SLUICEGATE_STATE_DIR": str(self.folder / pod),
            **(more or {}),
        }
        return await self.stack.enter_async_context(served(environ=environ))
