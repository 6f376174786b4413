"""`sluicegate serve --cluster`: what it needs is asked for by name, and what it finds is told."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from bundle_secrets import config_of
from eventually import eventually
from fake_cluster import CONFIG, NAMESPACE, fake_cluster
from running_gateway import CLIENT_KEY, UPSTREAM_KEY, key_entry, openai_entry
from served_folder import served, start_command


async def refusal(*arguments: str, environ: Mapping[str, str]) -> str:
    process = await start_command("serve", *arguments, environ=environ)
    _, errors = await process.communicate()
    assert process.returncode != 0
    assert b"Traceback" not in errors
    return errors.decode()


@pytest.mark.parametrize(
    "arguments",
    [(), ("--cluster", "--manifests", "."), ("--cluster", "--litellm-config", __file__)],
    ids=["no source", "and a folder", "and a LiteLLM configuration"],
)
async def test_one_source_has_to_be_named(arguments: tuple[str, ...]) -> None:
    said = await refusal(*arguments, environ={})
    assert "Give one of --manifests, --litellm-config and --cluster." in said


async def test_outside_a_cluster_it_says_what_is_missing() -> None:
    said = await refusal("--cluster", environ={})
    assert "--cluster: neither KUBECONFIG is set nor is this a pod" in said


async def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    said = await refusal("--cluster", environ={"KUBECONFIG": str(tmp_path / "absent")})
    assert str(tmp_path / "absent") in said


async def test_ports_and_metrics_say_what_serves_and_where_it_is_from(tmp_path: Path) -> None:
    async with fake_cluster() as cluster:
        await cluster.publish(config_of(iter((key_entry(), openai_entry("http://up.test/v1")))))
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(f"""\
apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: test, namespace: {NAMESPACE}}}}}]
clusters: [{{name: test, cluster: {{server: "http://127.0.0.1:{cluster.port}"}}}}]
users: [{{name: test, user: {{}}}}]
""")
        environ = {"KUBECONFIG": str(kubeconfig), "SLUICEGATE_STATE_DIR": str(tmp_path / "state")}
        async with served("--cluster", "--pod-name", "gateway-0", environ=environ) as gateway:
            await cluster.acknowledged(1)
            assert f"serves Secret {NAMESPACE}/{CONFIG} at" in "".join(gateway.log)
            for path in ("/readyz", "/config"):
                shown = (await gateway.admin(path)).json()
                told = shown.get("config", shown)
                assert (told["sequence"], told["epoch"]) == (1, "epoch-1")
                assert (told["source"], told["bundle"]) == ("cluster", f"{NAMESPACE}/{CONFIG}")
            metrics = (await gateway.admin("/metrics")).body.decode()
            assert "sluicegate_config_sequence 1.0" in metrics
            assert "sluicegate_config_ok 1.0" in metrics
            assert 'epoch="epoch-1",source="cluster"} 1.0' in metrics

            await cluster.stop()

            async def degraded() -> bool:
                return (await gateway.admin("/readyz")).json()["status"] == "degraded"

            await eventually(degraded)
            assert "sluicegate_config_ok 0.0" in (await gateway.admin("/metrics")).body.decode()
            gateway.signal()
            assert await gateway.exit_code() == 0
            for secret in (CLIENT_KEY, UPSTREAM_KEY):
                assert secret not in "".join(gateway.log)
