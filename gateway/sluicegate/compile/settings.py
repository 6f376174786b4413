"""What compile is allowed to let through: design section 4, "What a tenant can reach"."""

from __future__ import annotations

from msgspec import Struct


class Settings(Struct, frozen=True, gc=False):
    """The limits on tenants. None in a set of namespaces means every namespace.

    `require_label`: a Secret counts only with the label `sluicegate.dev/credential: "true"`.
    `restrict_addresses`: base URLs must not point into the cluster or a private network, but for
    Services of the object's own namespace and what `upstream_allow` names (CIDRs, host names,
    `.suffixes`). `restrict_credentials`: ambient credentials go to the provider's own hosts and
    `ambient_base_urls` only; Google credential files are service accounts with Google's token host.
    """

    sharing_namespaces: frozenset[str] | None = None
    ambient_namespaces: frozenset[str] | None = None
    ambient_base_urls: frozenset[str] = frozenset()
    require_label: bool = False
    restrict_addresses: bool = False
    restrict_credentials: bool = False
    upstream_allow: tuple[str, ...] = ()

    @staticmethod
    def folder() -> Settings:
        """A folder of manifests is the user's own machine: no limits."""
        return Settings()

    @staticmethod
    def cluster(
        config_namespace: str,
        *,
        sharing_namespaces: frozenset[str] = frozenset(),
        ambient_namespaces: frozenset[str] = frozenset(),
        ambient_base_urls: frozenset[str] = frozenset(),
        upstream_allow: tuple[str, ...] = (),
        require_label: bool = True,
    ) -> Settings:
        """A cluster with tenants; both sets of namespaces default to the config namespace."""
        return Settings(
            sharing_namespaces=sharing_namespaces or frozenset({config_namespace}),
            ambient_namespaces=ambient_namespaces or frozenset({config_namespace}),
            ambient_base_urls=frozenset(url.rstrip("/") for url in ambient_base_urls),
            require_label=require_label,
            restrict_addresses=True,
            restrict_credentials=True,
            upstream_allow=upstream_allow,
        )

    def may_share(self, namespace: str) -> bool:
        """Whether deployments of this namespace may be shared with others."""
        return self.sharing_namespaces is None or namespace in self.sharing_namespaces

    def may_use_ambient(self, namespace: str) -> bool:
        """Whether objects of this namespace may use the gateway's own credentials."""
        return self.ambient_namespaces is None or namespace in self.ambient_namespaces
