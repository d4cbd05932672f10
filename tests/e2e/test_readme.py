"""What README.md says to type is typed, word by word: its blocks have names behind the language.

What it says of systemd and of interception needs a machine that is started for it: tests/fresh-debian.
"""
import os
import re
import shlex
import shutil
import subprocess

import pytest

import process
from programs import needs
from wire import DEADLINE, until

README = (process.ROOT / "README.md").read_text()
DOCKERFILE = (process.ROOT / "Dockerfile").read_text()


def block(language, name):
    [text] = re.findall(rf"^```{language} {name}\n(.*?)^```$", README, re.S | re.M)
    return text


def apart(*kinds):
    """The words that run a command in namespaces of its own, which end with it."""
    if os.getuid() != 0:
        pytest.skip("namespaces need root")
    words = [needs("unshare"), *(f"--{kind}" for kind in kinds), "--pid", "--fork", "--kill-child", "--mount-proc"]
    tried = subprocess.run([*words, "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"this machine makes no such namespaces: {tried.stderr}")
    return words


def test_your_own_service_ends_in_a_trace_one_can_see(tmp_path):
    needs("curl")
    words = apart("net", "mount")
    shutil.copy(process.ROOT / "LICENSE", tmp_path)
    shutil.copytree(process.ROOT / "examples", tmp_path / "examples")
    (tmp_path / "build").mkdir()
    os.symlink(os.path.abspath(process.BINARY), tmp_path / "build" / "sidespan")
    text = block("sh", "first")
    assert len(text.splitlines()) <= 8
    done = subprocess.run([*words, "bash", "-ec", f"{needs('ip')} link set lo up\n{text}"], cwd=tmp_path,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE * 10)
    assert done.returncode == 0, done.stderr
    trace, line = done.stdout.splitlines()
    assert re.fullmatch(r"  trace [0-9a-f]{32}", trace)
    assert re.search(r"SERVER GET /\{file\}  200 █+ +[0-9.]+ ms", line)
    assert "WARN" not in done.stderr and "ERROR" not in done.stderr


def test_the_example_of_compose_sees_a_file_that_takes_the_place_of_the_old_one(tmp_path):
    """Its folder is mounted where the image looks, and the image's commands are run with it."""
    words = apart("net", "mount")
    [source, target] = re.search(r'volumes: \[ "([^":]+):([^":]+):ro" \]', block("yaml", "compose")).groups()
    [command] = re.findall(r"^CMD \[(.*)\]$", DOCKERFILE, re.M)
    [health] = re.findall(r"^    CMD \[(.*)\]$", DOCKERFILE, re.M)
    command, health = (re.findall(r'"([^"]*)"', words) for words in (command, health))
    assert command == ["--config", f"{target}/routes.conf"]
    assert health[0] == "/usr/bin/sidespan" and health[2:] == command
    assert "network_mode: \"service:shop\"" in block("yaml", "compose")
    assert not re.search(r"cp .*routes\.conf", DOCKERFILE)

    folder = tmp_path / source
    folder.mkdir()
    (tmp_path / "upper").mkdir()
    (tmp_path / "work").mkdir()
    conf = folder / "routes.conf"
    conf.write_text("inbound { listen 127.0.0.1:8080; route /one { respond 200; } } admin 127.0.0.1:15999;")
    log = tmp_path / "log"
    script = f"""
        {needs('ip')} link set lo up
        mount -t overlay overlay -o lowerdir=/etc,upperdir={tmp_path}/upper,workdir={tmp_path}/work /etc || exit 77
        mkdir -p {target}
        mount --bind {folder} {target}
        mount -o remount,bind,ro {target}
        {shlex.quote(str(process.BINARY))} {' '.join(command)} &
        sidecar=$!
        until {shlex.quote(str(process.BINARY))} {' '.join(health[1:])}; do kill -0 $sidecar || exit 1; sleep 0.1; done
        echo healthy
        wait
        """
    with open(log, "w") as out:
        running = subprocess.Popen([*words, "bash", "-c", script], cwd=tmp_path, stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=out)
    try:
        until(lambda: "healthy" in log.read_text() or running.poll() is not None, log.read_text, DEADLINE * 3)
        if running.poll() == 77:
            pytest.skip("this machine mounts no overlay")
        assert running.poll() is None, log.read_text()
        new = folder / "new"
        new.write_text(conf.read_text().replace("/one", "/two"))
        new.replace(conf)
        until(lambda: "a new configuration is in force" in log.read_text(), log.read_text)
    finally:
        running.kill()
        running.wait()


def test_a_first_configuration_names_no_span_after_the_catch_all():
    first = re.findall(r"^```conf\n(.*?)^```$", README, re.S | re.M)[0]
    inbound = first[first.index("inbound"):first.index("outbound {")]
    assert re.findall(r"route (\S+)", inbound)[0] != "/"
