"""The scenes: for each page, what becomes of each of its commands, in order.

`LOCAL` runs in a copy of the checkout (tests/docs), `IN_CLUSTER` against a real API server
(tests/cluster/test_documented_commands.py).
"""

from __future__ import annotations

from documented import ELLIPSIS, Step

CLIENT_KEY = "sk-of-the-documentation"

_MINUTES = "measures for minutes; its arguments are parsed as the program does"
_INDEX = "fetches packages; what it installs is what requirements/ pins, and CI installs that"
_SDK_EXAMPLES = "tests/sdk/test_documented_examples.py"

LOCAL: dict[str, tuple[Step, ...]] = {
    "README.md": (
        Step("make run", serves=True),
        Step("make test", not_run="is what runs this test"),
        Step("curl http://127.0.0.1:4000/v1/responses", prints="Hello, gateway"),
        Step("from openai import OpenAI", prints="a gateway took every change"),
        Step(". .venv/bin/activate", stays=True),
        Step("OPENAI_API_KEY=sk-… sluicegate serve --manifests examples/openai", serves=True),
        Step("curl http://127.0.0.1:4000/v1/responses", prints="Hello there"),
        Step("sluicegate serve --litellm-config config.yaml", serves=True),
        Step("sluicegate import litellm config.yaml", prints="kind: ModelDeployment"),
        Step("import sluicegate", prints="Hello there 0.000195"),
    ),
    "docs/cost.md": (Step("sluicegate spend --by key --since 7d", exactly=True),),
    "docs/explain.md": (Step("sluicegate explain gpt --key team-a/app", exactly=True),),
    "docs/from-litellm.md": (
        Step("export LITELLM_MASTER_KEY=… OPENAI_API_KEY=…", stays=True),
        Step("sluicegate serve --litellm-config", serves=True, asks="gpt-4o", key=ELLIPSIS),
        Step("sluicegate import litellm config.yaml --output manifests/", exactly=True),
        Step("sluicegate lint manifests/ && ", serves=True, asks="o1", key=ELLIPSIS),
    ),
    "docs/keys.md": (
        Step("sluicegate key new --name ci", prints="sk-sg-"),
        Step("sluicegate key hash", reads="a-key-made-elsewhere\n", prints="sha256:"),
    ),
    "docs/lint.md": (Step("sluicegate lint manifests/", exactly=True, code=1),),
    "docs/logging.md": (
        Step(
            "sluicegate serve --manifests manifests --log-sink stdout:",
            serves=True,
            asks="gpt",
            key=CLIENT_KEY,
            prints='"model":"gpt"',
        ),
        Step("from sluicegate.sinks.record import encode"),
    ),
    "docs/plan.md": (
        Step("sluicegate plan manifests-of-main/ manifests/", exactly=True),
        Step("git worktree add ../before origin/main", prints="HEAD is now at"),
        Step("sluicegate plan ../before/manifests manifests", prints="1 key loses access"),
    ),
    "docs/providers.md": (
        Step("ANTHROPIC_API_KEY=sk-ant-… sluicegate", serves=True, asks="claude"),
    ),
    "docs/sdk.md": (
        Step("pip install 'sluicegate[sdk]'", not_run=_INDEX),
        *(Step("import ", elsewhere=_SDK_EXAMPLES) for _ in range(6)),
        Step("sluicegate responses anthropic/", prints="20 input + 9 output tokens, $0.000195"),
    ),
    "docs/performance.md": (
        *(Step("make bench", not_run=_MINUTES) for _ in range(7)),
        Step(".venv/bin/python -m bench --help", prints="--only"),
        Step(".venv/bin/python -m bench profile", not_run=_MINUTES),
    ),
}

IN_CLUSTER: dict[str, tuple[Step, ...]] = {
    "docs/operations.md": (
        Step("kubectl get leases -n sluicegate", prints="gw-0"),
        Step("kubectl apply --server-side -f crds/", prints="serverside-applied"),
        Step("kubectl apply --server-side -f examples/cluster/namespace.yaml"),
        Step("kubectl get md,ak", exactly=True),
        Step("kubectl wait --for=condition=Ready md/sonnet", prints="condition met"),
        Step("kubectl sluicegate status -n team-a", exactly=True, code=1),
        Step("kubectl sluicegate status team-a/sonnet", exactly=True),
    ),
    "docs/limits.md": (Step("kubectl get ak team-a -o jsonpath", exactly=True),),
    "helm/sluicegate/README.md": (
        Step("helm install sluicegate helm/sluicegate", prints="STATUS: deployed"),
    ),
    "docs/helm.md": (
        Step("helm install sluicegate helm/sluicegate", prints="STATUS: deployed"),
        Step("kubectl create secret generic valkey", prints="created"),
        Step("kubectl create secret generic postgresql", prints="created"),
        Step("helm upgrade sluicegate helm/sluicegate", prints="STATUS: deployed"),
    ),
}

_DRIFT = "tests/cluster/test_gitops_drift.py"
_NO_TOOL = "neither Argo CD nor Flux is here; tests/gitops judges the same files"
_NO_ENGINE = "there is no container engine here; tests/image takes the same steps from Dockerfile"

# Pages whose commands other tests run, or nothing.
OTHERS: dict[str, tuple[Step, ...]] = {
    "docs/gitops.md": (
        Step("kubectl apply --server-side --field-manager sluicegate-health", elsewhere=_DRIFT),
        Step("kubectl apply -f examples/gitops/argocd/root.yaml", not_run=_NO_TOOL),
        Step("kubectl apply -k examples/gitops/flux", not_run=_NO_TOOL),
        Step("kubectl kustomize examples/gitops/kustomize/overlays/staging", elsewhere=_DRIFT),
        Step("kubectl diff --server-side -f rendered.yaml", elsewhere=_DRIFT),
        Step("kubectl get modeldeployments,apikeys -n models -o yaml", elsewhere=_DRIFT),
        Step("sluicegate plan live.yaml rendered.yaml", elsewhere=_DRIFT),
    ),
    "docs/image.md": (
        Step("docker build", not_run=_NO_ENGINE),
        Step("docker run", not_run=_NO_ENGINE),
        Step("docker run", not_run=_NO_ENGINE),
        Step("docker run", not_run=_NO_ENGINE),
    ),
}

# Commands in running text: where they are run, or why nothing runs them.
RUN_IN_CLUSTER = "tests/cluster/test_documented_commands.py runs it"
MENTIONED: dict[str, str] = dict.fromkeys(
    (
        "kubectl apply -f crds/",
        "kubectl apply --server-side -f crds/",
        "kubectl delete crd modeldeployments.sluicegate.dev apikeys.sluicegate.dev",
        "kubectl delete secret -n sluicegate -l app.kubernetes.io/managed-by=sluicegate",
        "kubectl explain ak.spec",
        "kubectl explain md.spec",
        "kubectl get ak",
        "kubectl get apikeys",
        "kubectl get md",
        "kubectl get md,ak -A -o yaml",
        "kubectl get modeldeployments",
        "kubectl get secret <config-name> -o jsonpath='{.data.index}' | base64 -d",
        "kubectl get secret NAME -o jsonpath='{.data.key}' | base64 -d",
        "kubectl wait --for=condition=Ready",
        "helm install --take-ownership",
    ),
    RUN_IN_CLUSTER,
) | {
    "helm test sluicegate -n sluicegate": "it runs a pod, and no kubelet is here; "
    "tests/cluster runs that pod's command",
    "go -C tests/cluster/controlplane mod tidy": "it fetches modules, to change what is pinned",
    ".venv/bin/python -m pytest tests/layout -k size": "it is how these tests are run",
}
