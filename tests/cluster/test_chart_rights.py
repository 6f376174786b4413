"""Every right that the chart's roles give is used by a release that works, and none is missing."""

import secrets
from pathlib import Path

from audited_rights import granted, refused, rights, unused
from cluster_identities import make_service_account, service_account_kubeconfig
from helm_chart import CHART
from helm_release import NAMESPACE, installed_objects
from released_cluster import ReleasedCluster
from sluicegate.cluster import API_KEYS, MODEL_DEPLOYMENTS

GATEWAY = f"system:serviceaccount:{NAMESPACE}:sluicegate-gateway"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:sluicegate-operator"
TENANTS_ROLES = {"sluicegate-view", "sluicegate-edit"}
TENANT = "system:serviceaccount:default:tenant"
# Rights that are used and yet are not in the log under their own verbs.
NOT_SEEN = {
    (GATEWAY, "create", "leases"): "a server-side apply that makes the Lease is logged as patch",
}
EVERYTHING = """\
apiVersion: v1
kind: Secret
metadata: {name: openai, labels: {sluicegate.dev/credential: "true"}}
stringData: {key: sk-of-nobody-0123456789}
---
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {name: foreign}
spec:
  provider: {openai: {model: gpt-4.1-mini}}
  credentials: {secretRef: {name: openai, key: key}}
---
apiVersion: sluicegate.dev/v1alpha1
kind: ApiKey
metadata: {name: me}
spec: {client: {generate: {secretName: my-key}}}
"""
QUICK = ("--set", "gateway.preStopSeconds=1")
ROTATION = '{"spec":{"client":{"rotation":{"requestedAt":"2026-01-01T00:00:00Z"}}}}'


def long_models() -> str:
    """More than fits into the index: what no gzip makes shorter, in every shard."""
    return "---\n".join(
        f"""\
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: long-{number}}}
spec: {{provider: {{echo: {{text: "{secrets.token_hex(1000)}"}}}}}}
"""
        for number in range(96)
    )


# An object is replaced until nobody, as the operator with its status, wrote between the two steps.
async def test_every_right_is_used_and_none_is_missing(
    released: ReleasedCluster, tmp_path: Path
) -> None:
    helm, admin, plane = released.helm, released.admin, released.plane
    await helm("install", "sluicegate", CHART, "--create-namespace", "--wait", *QUICK)
    await make_service_account(admin, "default", "tenant")
    tenant = await service_account_kubeconfig(plane, admin, "default", "tenant", folder=tmp_path)
    await helm.shell(
        "kubectl create rolebinding t --clusterrole=edit --serviceaccount=default:tenant"
    )
    (tmp_path / "all.yaml").write_text(f"{EVERYTHING}---\n{long_models()}")
    await helm.shell(
        f"""
        export KUBECONFIG={tenant}
        until kubectl auth can-i create modeldeployments -q; do sleep 0.2; done
        replaced() {{  # again where the operator has written in between
            for again in 1 2 3 4 5 6 7 8 9; do
                kubectl get "$@" -o json | kubectl replace -f - && return
            done
            return 1
        }}
        kubectl create -f {tmp_path}/all.yaml
        kubectl wait --for=condition=Ready --timeout=60s md --all
        kubectl wait --for=condition=Ready --timeout=60s ak/me
        kubectl patch ak me --type=merge -p '{ROTATION}'
        replaced md foreign
        replaced ak me
        kubectl patch md foreign --type=merge -p '{{"spec":{{"weight":2}}}}'
        until [ "$(kubectl get ak me -o jsonpath='{{.status.keys[1].id}}')" ]; do sleep 0.2; done
        """
    )
    for kind in (MODEL_DEPLOYMENTS, API_KEYS):
        name, path = kind.plural, kind.path("default")
        one = "foreign" if kind is MODEL_DEPLOYMENTS else "me"
        await helm.shell(
            f"""
            export KUBECONFIG={tenant}
            timeout 1 kubectl get {name} --watch-only || [ $? = 124 ]
            kubectl delete {name} {one}
            kubectl delete --raw {path}
            """
        )
    # While they still have their rights.
    await helm.shell(f"kubectl scale -n {NAMESPACE} deployment --all --replicas=0")
    await released.nodes.until_ended(released.nodes.history)

    objects = list(installed_objects(None))
    events = plane.audit()
    tenants = (each for each in objects if each["metadata"]["name"] in TENANTS_ROLES)
    all_rights = rights(objects) | {
        right for role in tenants for right in granted(TENANT, role["rules"])
    }
    assert {(one.user, one.verb, one.resource) for one in unused(all_rights, events)} == set(
        NOT_SEEN
    )
    assert refused({GATEWAY, OPERATOR, TENANT}, events) == set()
