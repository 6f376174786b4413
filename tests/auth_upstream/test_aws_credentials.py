"""AWS credentials from where they really come: files, environment, STS, pods, instances."""

import asyncio
import re
import threading
from pathlib import Path

import pytest

from aws_services import Asked, AwsService, container_answer, sts_answer, sts_error
from sluicegate.auth.upstream import Authorizer, CredentialFailed
from sluicegate.auth.upstream.aws import AwsAuthorizer
from sluicegate.config import AmbientCredential, AwsCredential
from sluicegate.providers.contract import AwsSigning, UpstreamCall

ROLE = "arn:aws:iam::123456789012:role/bedrock"
STATIC = AwsCredential(access_key_id="AKIASTATIC", secret_access_key="static-secret")
AMBIENT = AmbientCredential()


def call(credential: AwsCredential | AmbientCredential) -> UpstreamCall:
    return UpstreamCall(
        "https://bedrock-runtime.us-west-2.amazonaws.com",
        "POST",
        "/model/m/converse",
        ((b"content-type", b"application/json"),),
        b"{}",
        AwsSigning(credential, "us-west-2", "bedrock"),
    )


async def signed_by(
    credential: AwsCredential | AmbientCredential, authorizer: Authorizer | None = None
) -> str:
    """The access key in the signature."""
    headers = dict(await (authorizer or Authorizer()).headers(call(credential)))
    found = re.search(
        rb"Credential=([^/]+)/\d{8}/us-west-2/bedrock/aws4_request", headers[b"authorization"]
    )
    assert found is not None
    return found[1].decode()


def sts(answer: str = "", status: int = 200) -> AwsService:
    def answered(asked: Asked) -> tuple[int, str]:
        return status, answer or sts_answer(asked.form["Action"])

    return AwsService(answered)


async def test_static_keys_need_nothing() -> None:
    assert await signed_by(STATIC) == "AKIASTATIC"
    temporary = AwsCredential(access_key_id="A", secret_access_key="s", session_token="t")
    headers = dict(await Authorizer().headers(call(temporary)))
    assert headers[b"x-amz-security-token"] == b"t"


async def test_keys_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env-secret")
    assert await signed_by(AMBIENT) == "AKIAENV"


async def test_a_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "[team]\naws_access_key_id = AKIAFILE\naws_secret_access_key = file-secret\n"
    (tmp_path / "credentials").write_text(text)
    monkeypatch.setenv("AWS_PROFILE", "team")
    assert await signed_by(AMBIENT) == "AKIAFILE"


async def test_a_file_that_is_replaced_is_read_again(tmp_path: Path) -> None:
    def write(key: str) -> None:
        text = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n"
        (tmp_path / "credentials").write_text(text)

    now = [1_700_000_000.0]
    authorizer = AwsAuthorizer(lambda: now[0])
    signing = AwsSigning(AMBIENT, "us-west-2", "bedrock")
    write("AKIAOLD")
    assert b"AKIAOLD" in dict(await authorizer.headers(call(AMBIENT), signing))[b"authorization"]
    write("AKIANEW")
    now[0] += 301
    async with asyncio.timeout(10):
        while True:
            headers = dict(await authorizer.headers(call(AMBIENT), signing))
            if b"AKIANEW" in headers[b"authorization"]:
                return
            await asyncio.sleep(0.01)


async def test_web_identity_of_a_service_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("service-account-token")
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    with sts().listening() as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", service.url)
        assert await signed_by(AMBIENT) == "ASIAROLE"
    (asked,) = service.asked
    assert asked.form["Action"] == "AssumeRoleWithWebIdentity"
    assert asked.form["WebIdentityToken"] == "service-account-token"


async def test_pod_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("pod-token")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    with AwsService(lambda _asked: (200, container_answer())).listening() as service:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{service.url}/v1/credentials")
        headers = dict(await Authorizer().headers(call(AMBIENT)))
    assert b"Credential=ASIAPOD/" in headers[b"authorization"]
    assert headers[b"x-amz-security-token"] == b"pod-token"
    assert service.asked[0].headers["authorization"] == "pod-token"


async def test_instance_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    def answered(asked: Asked) -> tuple[int, str]:
        if asked.method == "PUT":
            return 200, "imds-token"
        if asked.path.rstrip("/").endswith("security-credentials"):
            return 200, "instance-role"
        return 200, container_answer("ASIAINSTANCE").replace("{", '{"Code": "Success", ', 1)

    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    with AwsService(answered).listening() as service:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url)
        assert await signed_by(AMBIENT) == "ASIAINSTANCE"


async def test_an_assumed_role_with_keys_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    credential = AwsCredential(
        access_key_id="AKIASTATIC",
        secret_access_key="static-secret",
        role_arn=ROLE,
        session_name="team-a",
        external_id="team-a/bedrock",
    )
    authorizer = Authorizer()
    with sts().listening() as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", service.url)
        keys = await asyncio.gather(*(signed_by(credential, authorizer) for _ in range(20)))
    assert set(keys) == {"ASIAROLE"}
    (asked,) = service.asked  # one look-up for all of them
    assert asked.form["RoleArn"] == ROLE
    assert asked.form["RoleSessionName"] == "team-a"
    assert asked.form["ExternalId"] == "team-a/bedrock"
    assert "Credential=AKIASTATIC/" in asked.headers["authorization"]


async def test_a_role_without_keys_is_assumed_by_the_ambient_identity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env-secret")
    with sts().listening() as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", service.url)
        assert await signed_by(AwsCredential(role_arn=ROLE)) == "ASIAROLE"
    assert service.asked[0].form["RoleSessionName"] == "sluicegate"
    assert "ExternalId" not in service.asked[0].form
    assert "Credential=AKIAENV/" in service.asked[0].headers["authorization"]


async def test_the_loop_goes_on_while_credentials_are_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = sts()
    service.hold = threading.Event()
    with service.listening():
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", service.url)
        credential = AwsCredential(access_key_id="A", secret_access_key="s", role_arn=ROLE)
        waiting = asyncio.create_task(signed_by(credential))
        async with asyncio.timeout(10):
            while not service.asked:  # noqa: ASYNC110 - it is asked in another thread
                await asyncio.sleep(0.005)
        assert not waiting.done()
        service.hold.set()
        assert await waiting == "ASIAROLE"


async def test_a_refused_role_names_the_code_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    message = "User AKIASTATIC with static-secret is not authorized"
    with sts(sts_error("AccessDenied", message), 403).listening() as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", service.url)
        credential = AwsCredential(
            access_key_id="AKIASTATIC", secret_access_key="static-secret", role_arn=ROLE
        )
        with pytest.raises(CredentialFailed) as failed:
            await signed_by(credential)
    assert str(failed.value) == "assuming its role failed: AccessDenied"


async def test_no_identity_at_all_says_what_to_do() -> None:
    with pytest.raises(CredentialFailed, match=r"set spec\.credentials"):
        await signed_by(AMBIENT)


async def test_a_broken_source_is_a_failure_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[profile team]\ncredential_process = /does/not/exist\n")
    monkeypatch.setenv("AWS_PROFILE", "team")
    with pytest.raises(CredentialFailed, match="the AWS credential chain failed"):
        await signed_by(AMBIENT)


async def test_half_a_credential_signs_nothing() -> None:
    with pytest.raises(CredentialFailed):
        await signed_by(AwsCredential(access_key_id="AKIA"))


async def test_a_call_that_is_complete_gets_nothing() -> None:
    made = call(STATIC)._replace(authorization=None)
    assert await Authorizer().headers(made) == ()


async def test_replaced_credentials_do_not_pile_up() -> None:
    authorizer = AwsAuthorizer()
    for number in range(1100):
        credential = AwsCredential(access_key_id=f"A{number}", secret_access_key="s")
        signing = AwsSigning(credential, "us-west-2", "bedrock")
        await authorizer.headers(call(credential), signing)
    assert authorizer.held <= 1024
