"""What keeps `sluicegate serve` from starting: one line with the option, the file, what to do."""

import asyncio
import socket
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from served_folder import key_manifest, served_folder, start_command

PORTS = {"--port": "0", "--admin-port": "0"}


async def refusal(
    manifests: Path, options: dict[str, str], environ: dict[str, str] | None = None
) -> str:
    """What a gateway says that does not start."""
    arguments = {"--manifests": str(manifests), **PORTS, **options}
    process = await start_command(
        "serve", *(f"{name}={value}" for name, value in arguments.items()), environ=environ or {}
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = said.decode()
    assert process.returncode in (1, 2), text
    for noise in ("Traceback", "[Errno", "[SSL", "[X509", "_ssl.c"):
        assert noise not in text
    return text.splitlines()[-1]


REFUSED = {
    "anonymous beyond loopback": (
        {"--host": "0.0.0.0", "--allow-anonymous": "loopback"},
        ("--allow-anonymous=any", "0.0.0.0"),
    ),
    "an empty state folder": ({"--state-dir": ""}, ("--state-dir", "it is empty")),
    "an empty key to hash with": (
        {"--end-user-hash-key": ""},
        ("--end-user-hash-key", "it is empty: give a key"),
    ),
    "a port that is none": ({"--port": "70000"}, ("--port",)),
    "an address that is not ours": (
        {"--host": "192.0.2.1"},
        ("--host: 192.0.2.1 is not an address of this machine",),
    ),
    "an admin address that is not ours": (
        {"--admin-host": "192.0.2.1"},
        ("--admin-host: 192.0.2.1 is not an address of this machine",),
    ),
    "an address with a port": ({"--host": "127.0.0.1:80"}, ("--host: '127.0.0.1:80'",)),
    "a name that DNS can't hold": ({"--host": "a" * 64}, ("--host: 'aaa", "is not an address")),
}


@pytest.mark.parametrize(("options", "words"), REFUSED.values(), ids=REFUSED.keys())
async def test_an_option_that_can_not_be(
    tmp_path: Path, options: dict[str, str], words: tuple[str, ...]
) -> None:
    said = await refusal(tmp_path, options)
    for word in words:
        assert word in said


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
async def test_a_port_in_use(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = await refusal(tmp_path, {option: port})
    assert said == f"Error: Port {port} is in use; choose another with {option}."


async def test_a_folder_that_is_a_file_or_not_there(tmp_path: Path) -> None:
    absent, file = tmp_path / "absent", tmp_path / "file.yaml"
    file.touch()
    for path in (absent, file):
        said = await refusal(path, {})
        assert "--manifests" in said
        assert str(path) in said


@pytest.mark.parametrize("content", [b"", b"no certificate\n"])
async def test_an_authority_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(content)
    said = await refusal(tmp_path, {"--upstream-ca": str(path)})
    assert said == f"Error: --upstream-ca: {path} holds no certificates in PEM form."


class Pairs:
    """Certificates and keys, good and bad."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        issued, other = (authority.issue_cert("localhost") for _ in range(2))
        key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
        encrypted = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
        self.folder = folder
        for name, content in {
            "cert": issued.cert_chain_pems[0].bytes(),
            "other": other.private_key_pem.bytes(),
            "encrypted": encrypted,
            "nonsense": b"nothing of the kind\n",
            "empty": b"",
            "key": issued.private_key_pem.bytes(),
        }.items():
            (folder / name).write_bytes(content)


BAD_PAIRS = {
    "no certificate": ("nonsense", "key", "--tls-cert", "{cert} holds no certificate"),
    "an empty certificate": ("empty", "key", "--tls-cert", "{cert} holds no certificate"),
    "a key as certificate": ("key", "key", "--tls-cert", "{cert} holds no certificate"),
    "no key": ("cert", "nonsense", "--tls-key", "{key} holds no private key"),
    "a certificate as key": ("cert", "cert", "--tls-key", "{key} holds no private key"),
    "an encrypted key": ("cert", "encrypted", "--tls-key", "{key} is encrypted; give it without"),
    "another's key": ("cert", "other", "--tls-key", "{key} is not that of the certificate in"),
}


@pytest.mark.parametrize(
    ("cert", "key", "option", "words"), BAD_PAIRS.values(), ids=BAD_PAIRS.keys()
)
async def test_a_certificate_and_a_key_that_can_not_serve(
    tmp_path: Path, cert: str, key: str, option: str, words: str
) -> None:
    folder = Pairs(tmp_path).folder
    options = {"--tls-cert": str(folder / cert), "--tls-key": str(folder / key)}
    said = await refusal(tmp_path, options)
    assert said.startswith(f"Error: {option}: ")
    assert words.format(cert=folder / cert, key=folder / key) in said


async def test_a_certificate_without_its_key(tmp_path: Path) -> None:
    folder = Pairs(tmp_path).folder
    assert "go together" in await refusal(tmp_path, {"--tls-cert": str(folder / "cert")})


@pytest.mark.parametrize("value", ["true", "1", "loopback"])
async def test_anonymous_callers_by_the_environment(tmp_path: Path, value: str) -> None:
    """A value that says yes is loopback, never more."""
    environ = {"SLUICEGATE_ALLOW_ANONYMOUS": value}
    said = await refusal(tmp_path, {"--host": "0.0.0.0"}, environ)
    assert "say --allow-anonymous=any" in said


async def test_a_folder_may_disappear_later(tmp_path: Path) -> None:
    async with served_folder(tmp_path, {"keys.yaml": key_manifest()}) as served:
        (served.folder / "keys.yaml").unlink()
        served.folder.rmdir()
        assert (await served.admin("/healthz")).status == 200
        assert (await served.admin("/readyz")).status == 200
        served.signal()
        assert await served.exit_code() == 0
