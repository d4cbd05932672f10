"""Programs that some tests need and not every machine has."""
import os
import pathlib
import shutil
import subprocess

import pytest

PEERS = pathlib.Path(__file__).resolve().parents[1] / "peers"


def needs(*names):
    """The path of the first of the programs that is installed. Without any the test is skipped, and
    says so; in CI it fails, so that nothing is left out there unseen."""
    folders = [os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]
    for name in names:
        path = shutil.which(name, path=os.pathsep.join(folders))
        if path:
            return path
    reason = f"{' or '.join(names)} is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and in CI it must be")
    pytest.skip(reason)


def long_variant(what):
    """Skips unless the long tests are asked for with E2E_LONG=1."""
    if os.environ.get("E2E_LONG") != "1":
        pytest.skip(f"{what}: only with E2E_LONG=1")


def peer(name):
    """The path of a program of tests/peers, which is built where it is not there yet."""
    built = subprocess.run([PEERS / f"get-{name}"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if built.returncode == 0:
        return built.stdout.strip()
    if os.environ.get("CI") == "true":
        pytest.fail(built.stderr)
    pytest.skip(built.stderr.strip().replace("\n", "; "))
