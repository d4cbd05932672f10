"""What whoever starts it as a service finds: sd_notify(3), and a word where no configuration is."""
import os
import shutil
import signal
import socket
import subprocess

import pytest

import process
from process import free_port, run
from wire import DEADLINE

CONFIG = "inbound { listen 127.0.0.1:%d; route / { respond 200; } }"


class Manager:
    """The socket of a service manager."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name[0] == "@" else name)
        self.socket.settimeout(DEADLINE)

    def told(self):
        """The next datagram: {name: value}."""
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))

    def close(self):
        self.socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path, closing):
    return closing(Manager(str(tmp_path / "notify") if request.param == "path" else f"@sidespan-{free_port()}"))


def test_a_manager_is_told_of_ready_and_of_the_end(manager, sidespan):
    port = free_port()
    sidecar = sidespan(CONFIG % port, env={"NOTIFY_SOCKET": manager.name}, ready=False).spawn()
    told = manager.told()
    assert told["READY"] == "1" and f"127.0.0.1:{port}" in told["STATUS"]
    socket.create_connection(("127.0.0.1", port), DEADLINE).close()
    sidecar.process.send_signal(signal.SIGTERM)
    told = manager.told()
    assert told["STOPPING"] == "1" and "READY" not in told
    assert sidecar.process.wait(DEADLINE) == 0


def test_a_manager_is_told_why_it_does_not_start(manager, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        conf = tmp_path / "routes.conf"
        conf.write_text(CONFIG % taken.getsockname()[1] + " admin off;")
        assert run("--config", conf, env={"NOTIFY_SOCKET": manager.name}).returncode == 1
        told = manager.told()
        assert "READY" not in told and "in use by another program" in told["STATUS"]


@pytest.mark.parametrize("name", ["", "x", "/nowhere/notify", "@nobody-is-there", "/" + "x" * 300],
                         ids=["empty", "relative", "no-file", "nobody", "too-long"])
def test_a_manager_that_is_not_there_hinders_nothing(name, sidespan):
    sidecar = sidespan(CONFIG % free_port(), env={"NOTIFY_SOCKET": name})
    assert sidecar.admin("/readyz").status == 200


def test_where_packages_put_it_a_missing_configuration_has_a_cure():
    path = "/etc/sidespan/there-is-no-such.conf"
    for done in (run("--config", path), run("check", path)):
        assert done.returncode == 1 and "mount the folder" in done.stderr
    assert "mount" not in run("check", "/nowhere/routes.conf").stderr


def test_the_units_are_what_systemd_understands(tmp_path):
    """As meson writes them, with the program in its place."""
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("systemd-analyze is not installed")
    folder = process.ROOT / "deploy" / "systemd"
    binary = tmp_path / "sidespan"            # whose path has no blank
    os.symlink(os.path.abspath(process.BINARY), binary)
    for unit in folder.glob("*.service.in"):
        text = unit.read_text().replace("@bindir@/sidespan", str(binary)).replace("@nft@", "/bin/true")
        (tmp_path / unit.name.removesuffix(".in")).write_text(text.replace("@configdir@", "/etc/sidespan"))
    done = subprocess.run([analyze, "verify", "--man=no", *map(str, tmp_path.glob("*.service"))],
                          capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "sidespan" in line]
    assert not ours, ours
