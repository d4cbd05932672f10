"""--check: every mistake of a file, with its place, in one go."""
import shlex
import subprocess

import pytest

from process import BINARY, ROOT, run
from wire import DEADLINE

GOOD = "service shop;\ninbound { listen :8080; route / { to 127.0.0.1:3000; } }\n"


@pytest.fixture
def check(tmp_path):
    def start(text, **env):
        path = tmp_path / "routes.conf"
        path.write_text(text)
        return run("--config", path, "--check", env=env, cwd=tmp_path)

    return start


def test_a_good_file_is_ok(check):
    done = check(GOOD)
    assert done.returncode == 0 and "ok" in done.stdout and done.stderr == ""


@pytest.mark.parametrize("text, place, words", [
    ("servise shop;", "1:1", ["servise", '"service"']),
    ("service shop;\nroute / { }", "2:1", ["route"]),
    ("inbound { listen :8080; route / { to 127.0.0.1:1; timout 5s; } }", "1:51",
     ["timout", '"timeout"']),
    ("inbound { listen :8080; route / { to 127.0.0.1:1; timeout 5x; } }", "1:59", ["5x"]),
    ("inbound { listen :8080; route / { to nowhere; } }", "1:38", ["nowhere"]),
    ("inbound { listen :8080; route / { to 127.0.0.1:1; to 127.0.0.1:2; by trase; } }", "1:70",
     ["trase", "trace"]),
    ("inbound { listen :8080; route / { to 127.0.0.1:1 weight 0; } }", None, ["weight"]),
    ("inbound { listen :8080; route / { to 127.0.0.1:1; timeout 1s; timeout 2s; } }", "1:63",
     ["timeout"]),
    ("inbound { listen :8080; route / { to 127.0.0.1:1; } route /api { to 127.0.0.1:2; } }", "1:53",
     ["/api"]),
    ("inbound { listen :8080; route /a { to 127.0.0.1:1; fault abort 99; } }", None, ["99"]),
    ("inbound { listen :8080; route /a { to 127.0.0.1:1; fault delay 1s for 101%; } }", None, ["101%"]),
    ("inbound { listen :8080; route ~ \"(\" { to 127.0.0.1:1; } }", None, ["("]),
    ("inbound { listen :99999; route / { to 127.0.0.1:1; } }", "1:18", ["99999"]),
    ("inbound { listen :8080; }\ninbound { listen :8081; }", "2:1", ["inbound"]),
    ("service \"unfinished;\n", "1:9", []),
    ("inbound {\n  listen :8080;\n", None, []),
    ("service shop", None, []),
    ("include \"missing.conf\";", "1:9", ["missing.conf"]),
    ("service ${UNSET_NAME};", None, ["UNSET_NAME"]),
    ("inbound { listen :8080; route / { to 127.0.0.1:1; mirror x; } }", "1:51", ["mirror"]),
    ("trace { export zipkin http://a:9411; }", None, ["zipkin"]),
    ("trace { propagate b3; }", None, ["b3"]),
    ("cluster a { endpoint 127.0.0.1:1; }\ncluster a { endpoint 127.0.0.1:2; }", "2:9", ["a"]),
    ("inbound { listen :8080; unmatched pass; route /a { to 127.0.0.1:1; } }", "1:25", ["transparent"]),
])
def test_a_mistake_is_told_with_its_place(check, text, place, words):
    done = check(text)
    assert done.returncode == 1
    assert "routes.conf:" in done.stderr
    if place:
        assert f"routes.conf:{place}: " in done.stderr, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_the_line_is_shown_with_a_caret_under_the_place(check):
    done = check("service shop;\ninbound { listen :8080; rout / { to 127.0.0.1:1; } }\n")
    lines = done.stderr.splitlines()
    at = next(i for i, l in enumerate(lines) if "routes.conf:2:25: " in l)
    shown, caret = lines[at + 1], lines[at + 2]
    assert "inbound { listen :8080; rout /" in shown
    assert caret.index("^") == shown.index("rout /")
    assert '"route"' in lines[at]


def test_all_mistakes_are_told_in_one_go_and_in_order(check):
    done = check("servise a;\nworkers none;\ninbound { listen x; }\nclustre b { }\n")
    lines = [l for l in done.stderr.splitlines() if l.startswith("routes.conf:") or "/routes.conf:" in l]
    numbers = [int(l.split("routes.conf:")[1].split(":")[0]) for l in lines]
    assert set(numbers) == {1, 2, 3, 4}
    assert numbers == sorted(numbers)


def test_a_mistake_in_an_included_file_is_told_with_that_files_name(tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "b.conf").write_text("inbound {\n  lisen :8080;\n}\n")
    (tmp_path / "conf.d" / "a.conf").write_text("service shop;\n")
    (tmp_path / "routes.conf").write_text('include "conf.d/*.conf";\n')
    done = run("--config", tmp_path / "routes.conf", "--check")
    assert done.returncode == 1
    assert "conf.d/b.conf:2:3: " in done.stderr


def test_files_that_include_each_other_are_an_error(tmp_path):
    (tmp_path / "a.conf").write_text('include "b.conf";\n')
    (tmp_path / "b.conf").write_text('include "a.conf";\n')
    done = run("--config", tmp_path / "a.conf", "--check")
    assert done.returncode == 1 and "b.conf:1:" in done.stderr


def test_the_environment_fills_in(check):
    text = "service ${NAME};\ninbound { listen :${PORT:-8080}; route / { to ${TO:-127.0.0.1:1}; } }\n"
    assert check(text, NAME="shop").returncode == 0
    assert check(text, NAME="shop", TO="not/an address").returncode == 1


def test_a_file_that_is_not_there_is_told(tmp_path):
    done = run("--config", tmp_path / "none.conf", "--check")
    assert done.returncode == 1 and "none.conf" in done.stderr


def test_the_sidecar_does_not_start_with_a_bad_file(tmp_path):
    (tmp_path / "routes.conf").write_text("servise shop;\n")
    done = run("--config", tmp_path / "routes.conf")
    assert done.returncode == 1
    assert "routes.conf:1:1: " in done.stderr


def test_the_sidecar_says_why_it_cannot_listen(tmp_path, raw_origin):
    taken = raw_origin()
    (tmp_path / "routes.conf").write_text(
        f"inbound {{ listen {taken.address}; route / {{ to 127.0.0.1:1; }} }}\nadmin off;\n")
    done = run("--config", tmp_path / "routes.conf")
    assert done.returncode == 1
    assert taken.address in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--confg", "x"], ["--workers", "0", "--config", "x"],
                                       ["--config"], ["explainn"], ["extra", "word"]])
def test_a_wrong_command_line_is_told(arguments):
    done = run(*arguments)
    assert done.returncode not in (0, 1)
    assert "sidespan" in done.stderr


def test_help_and_version_answer():
    assert "usage" in run("--help").stdout
    assert run("--version").stdout.startswith("sidespan ")
    directives = run("help", "directives").stdout
    for word in ("route", "fault", "weight", "export", "drain-delay"):
        assert word in directives


def test_a_command_line_that_means_one_thing_is_understood(tmp_path):
    good, bad = tmp_path / "good.conf", tmp_path / "bad.conf"
    good.write_text(GOOD)
    bad.write_text("nonsense;")
    assert "good.conf: ok (1 route, 0 clusters, hash " in run("--check", good).stdout
    both = run("check", good, bad)
    assert both.returncode == 1 and "good.conf: ok" in both.stdout and "bad.conf:1:1:" in both.stderr
    assert run("check", good, good).returncode == 0
    told = run(good)
    assert told.returncode == 2 and f"sidespan --config {good}" in told.stderr
    for command in ("check", "explain", "healthcheck"):
        shown = run(command, "--help")
        assert shown.returncode == 0 and f"sidespan {command} " in shown.stdout
        assert run("help", command).stdout == shown.stdout
    one = run("help", "timeout")
    assert one.returncode == 0 and "route:" in one.stdout and "timeout TIME" in one.stdout
    assert '"timeouts"' in run("help", "timeoutss").stderr


@pytest.mark.parametrize("arguments, cure", [
    (["run", "x.conf"], "write: sidespan --config FILE"),
    (["validate", "x.conf"], "write: sidespan check FILE"),
    (["reload"], "SIGHUP"),
    (["stop"], "SIGTERM"),
    (["-c", "x.conf", "-t"], "write: --check"),
    (["explain", "--config", "x.conf", "GET", "http://a/"], "'GET http://a/' in quotes"),
    (["explain", "--config", "x.conf", "GET a.shop/b"], '"GET a.shop/b" is no request: write \'GET http://'),
    (["explain", "--config", "x.conf"], "explain needs one request"),
])
def test_a_command_line_of_other_habits_is_told_the_cure(arguments, cure):
    done = run(*arguments)
    assert done.returncode == 2 and cure in done.stderr, done.stderr


def test_explain_says_that_it_chose_the_direction(tmp_path):
    conf = tmp_path / "routes.conf"
    inbound, outbound = (f"{kind} {{ listen 127.0.0.1:{port}; route /a {{ respond 200; }} }}\n"
                         for kind, port in (("inbound", 8080), ("outbound", 15002)))
    chose = "--inbound asks for"
    conf.write_text(inbound + outbound)
    assert chose in run("explain", "--config", conf, "/a").stdout
    assert chose not in run("explain", "--config", conf, "--outbound", "/a").stdout
    conf.write_text(inbound)
    assert chose not in run("explain", "--config", conf, "/a").stdout


def test_standard_input_is_checked():
    def check_input(text):
        return subprocess.run([BINARY, "check", "-"], input=text, capture_output=True, text=True, timeout=DEADLINE)

    assert "standard input: ok (1 route, 0 clusters, hash " in check_input(GOOD).stdout
    done = check_input("nonsense;")
    assert done.returncode == 1 and done.stderr.startswith("standard input:1:1: ")
    assert check_input("").returncode == 1


def test_a_port_that_nothing_is_routed_for_is_warned_of(check):
    done = check("inbound { listen :8080; }")
    assert done.returncode == 0 and "routes.conf:1:18: every request that comes here is answered with 404" in done.stderr
    assert check("inbound { listen :8080 transparent; }").stderr == ""
    assert check(GOOD).stderr == ""


@pytest.mark.parametrize("request_, span", [
    ("/baskets/7", "GET /baskets/{user}"), ("POST /baskets/7", "POST /baskets/{user}"),
    ("grpc://x/shop.Prices/Get", "shop.Prices/Get"), ("GET http://x/other", "GET"),
])
def test_explain_says_what_the_span_is_and_whether_it_is_kept(tmp_path, request_, span):
    conf = tmp_path / "routes.conf"
    text = """inbound { listen :8080; route /baskets/{user} { respond 200; }
              route grpc shop.Prices { to 127.0.0.1:1; } } trace { sample %s; }"""
    trace = "0af7651916cd43dd8448eb211c80319c"
    for sample, kept in (("always", "recorded"), ("never", "not recorded: it is not sampled")):
        conf.write_text(text % sample)
        said = run("explain", "--config", conf, "--traceparent", trace, request_).stdout
        assert f"span         {span}, {kept}\n" in said and f"trace        {trace}\n" in said, said
    conf.write_text(text % "parent")
    for flags, kept in (("00", "not recorded"), ("01", "recorded")):
        said = run("explain", "--config", conf, "--traceparent", f"00-{trace}-b7ad6b7169203331-{flags}", request_)
        assert f"{span}, {kept}" in said.stdout, said


def test_bash_completes_commands_options_and_directives(tmp_path):
    script = f"""
        sidespan() {{ {shlex.quote(str(BINARY))} "$@"; }}
        . {shlex.quote(str(ROOT))}/deploy/completion/sidespan
        try() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sidespan; echo "${{COMPREPLY[@]}}"; }}
        compopt() {{ :; }}
        try sidespan ex; try sidespan explain --in; try sidespan help healthch; try sidespan help drain-de
        try sidespan --config rou"""
    (tmp_path / "routes.conf").touch()
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE)
    assert done.stdout.splitlines() == ["explain", "--inbound", "healthcheck", "drain-delay", "routes.conf"], done


def test_the_file_that_ships_is_good():
    if not (ROOT / "routes.conf").exists():
        pytest.skip("there is no routes.conf yet")
    done = run("--config", ROOT / "routes.conf", "--check", cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_canonical_text_reads_as_the_same_configuration(tmp_path, sidespan, port):
    sidecar = sidespan(f"""
        inbound {{
            listen 127.0.0.1:{port}; route /a/{{b}} {{ to 127.0.0.1:1; fault delay 1s for 10%; }}
        }}
        trace {{ sample ratio 10%; export memory 50; }}
        """)
    text = sidecar.admin("/config").text
    (tmp_path / "again.conf").write_text(text)
    done = run("--config", tmp_path / "again.conf", "--check")
    assert done.returncode == 0, done.stderr
