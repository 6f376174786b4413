"""Gets what a run needs onto the machine: our Go programs, wrk, and the peers' packages.

Everything lands in a cache folder outside Git and is made once. Packages come from whatever index
the machine's ordinary clients are set up for.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import BenchError

SOURCE = Path(__file__).parent
_UV = "uv==0.13.9"  # the version that scripts/lock pins


def say(text: str) -> None:
    """Tells the terminal what is going on."""
    print(f"bench: {text}", flush=True)


@dataclass(frozen=True, slots=True)
class Cache:
    """The folder of what was built and installed."""

    folder: Path

    def program(self, name: str) -> Path:
        """Our Go program bench/<name>, compiled; Go itself does nothing when it is up to date."""
        go = shutil.which("go")
        if go is None:
            raise BenchError(
                "the mock upstream and the load generator need Go 1.22 or later on PATH"
            )
        target = self.folder / "bin" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # The module has no dependencies: nothing is downloaded, not even another toolchain.
        env = os.environ | {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
        run([go, "build", "-o", str(target), f"./{name}"], cwd=SOURCE, env=env)
        return target

    def python(self, name: str, requirements: Sequence[str], overrides: Sequence[str] = ()) -> Path:
        """A virtual environment that holds the requirements; answers its bin folder.

        `overrides` are requirements that replace what the packages ask for themselves.
        """
        venv = self.folder / name
        wanted = "\n".join([*requirements, "--override", *overrides, ""])
        stamp = venv / "bench-stamp"
        if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
            return venv / "bin"
        say(f"installing {', '.join(requirements)}")
        shutil.rmtree(venv, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(venv)])
        python = str(venv / "bin" / "python")
        if overrides:
            uv = self.python("uv", [_UV]) / "uv"
            listing = venv / "overrides.txt"
            listing.write_text("\n".join(overrides), encoding="utf-8")
            options = ["--quiet", "--python", python, "--override", str(listing)]
            run([str(uv), "pip", "install", *options, *requirements])
        else:
            run([python, "-m", "pip", "install", "--quiet", *requirements])
        stamp.write_text(wanted, encoding="utf-8")
        return venv / "bin"

    def node(self, name: str, package: str) -> Path:
        """An npm package in a folder of its own; answers its node_modules."""
        npm = shutil.which("npm")
        if npm is None:
            raise BenchError(f"{package} needs Node.js with npm on PATH")
        folder = self.folder / name
        stamp = folder / "bench-stamp"
        if not (stamp.exists() and stamp.read_text(encoding="utf-8") == package):
            say(f"installing {package}")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
            run([npm, "install", "--silent", "--no-audit", "--no-fund", package], cwd=folder)
            stamp.write_text(package, encoding="utf-8")
        return folder / "node_modules"


def debian(command: str, package: str) -> str:
    """The path of a command, installed from its Debian package if need be and possible."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin"
    found = shutil.which(command, path=path)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get") is not None:
        say(f"installing {package} (Debian)")
        env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update", "-qq"], env=env)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], env=env)
        found = shutil.which(command, path=path)
    if found is None:
        raise BenchError(f"{command} is missing: install the Debian package {package}")
    return found


def run(argv: Sequence[str], cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Runs a set-up command; answers what it printed, raises BenchError when it fails."""
    done = subprocess.run(
        argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode != 0:
        complaint = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise BenchError(f"{' '.join(argv)} failed:\n{complaint[-2000:]}")
    return done.stdout.decode(errors="replace").strip()
