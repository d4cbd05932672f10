"""The demo of examples/shop as somebody sees it who tries it: what it prints fits, what it says to do next can be done."""
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys

import pytest

import process
from programs import needs
from wire import DEADLINE, until

SHOP = pathlib.Path(__file__).resolve().parents[2] / "examples" / "shop"


class Demo:
    """demo.py of a copy of the folder, since what it follows is edited here; there is a blank in its path."""

    def __init__(self, folder, *arguments, columns=80):
        self.shop = folder / "my code" / "examples" / "shop"
        shutil.copytree(SHOP, self.shop, ignore=shutil.ignore_patterns("__pycache__"))
        self.output = folder / "output"
        environment = {**os.environ, "COLUMNS": str(columns), "TMPDIR": str(folder)}
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, self.shop / "demo.py", process.BINARY, *map(str, arguments)], cwd=folder,
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment)

    def text(self):
        return self.output.read_text()

    def ended(self):
        """Its exit status."""
        return self.process.wait(DEADLINE * 10)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.ended()


@pytest.fixture
def demo(tmp_path, closing):
    return lambda *arguments, **named: closing(Demo(tmp_path, *arguments, **named))


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(demo, columns):
    it = demo("--requests", 60, "--seed", "width", columns=columns)
    assert it.ended() == 0, it.text()
    assert "█" in it.text() and "users-v2 (10 of 100)" in it.text()
    assert [line for line in it.text().splitlines() if len(line) > columns] == []


@pytest.mark.parametrize("requests", [0, 1])
def test_few_requests_prove_nothing_wrong(demo, requests):
    it = demo("--requests", requests, "--seed", "few")
    assert it.ended() == 0, it.text()
    assert it.text().endswith("All of it holds.\n")


def test_what_is_no_number_of_requests_is_said(demo):
    it = demo("--requests", "-1")
    assert it.ended() == 2
    assert "a number from 0 to 10000 is needed" in it.text()


def test_a_kept_demo_says_what_to_do_and_it_can_be_done(demo, tmp_path):
    needs("curl")
    it = demo("--keep", "--requests", 20)
    until(lambda: "'GET http://users.shop.local/api/users/7'" in it.text() or it.process.poll() is not None,
          it.text, DEADLINE * 5)
    assert it.process.poll() is None, it.text()

    def do(pattern):
        """The command that is printed, as it is printed."""
        command = re.search(rf"^ +({pattern}(?:\\\n|.)*)$", it.text(), re.M).group(1)
        words = shlex.split(command.replace("\\\n", ""))
        done = subprocess.run(words, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=DEADLINE * 3)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    assert '"user": "user 7"' in do("curl")
    until(lambda: "GET /api/users/{id}/orders" in do("python3"), "the spans of that request")
    assert "users-v" in do(re.escape(shlex.quote(str(process.BINARY))))
    for url in re.findall(r"http://127\.0\.0\.1:\d+/(?:traces|metrics|config)\S*", it.text()):
        assert subprocess.run(["curl", "-fsS", url], capture_output=True, timeout=DEADLINE).returncode == 0, url

    conf = it.shop / "shop.conf"
    before = conf.read_text()
    assert before.count("weight 90") == 2 and "fault delay 150ms for 10%" in before
    conf.write_text(before.replace("fault delay 150ms for 10%", "fault abort 503 for 100%"))
    until(lambda: "users said 503" in do("curl"), "the changed file to be in force")

    it.process.send_signal(signal.SIGINT)
    assert it.ended() == 0, it.text()
    assert it.text().endswith("All of it holds.\n")
    assert not list(tmp_path.glob("sidespan-demo.*"))
