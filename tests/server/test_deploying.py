"""The files to deploy with are what their tools take, and the page tells what is so."""

from __future__ import annotations

import configparser
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from attrs import fields
from dockerfile_parse import DockerfileParser
from prometheus_client import generate_latest
from ruamel.yaml import YAML

from evrun.cli.app import app
from evrun.server import Database, create_app
from evrun.server.api.access_log import AccessRecord, rejected
from evrun.server.api.metrics import Metrics
from evrun.server.db.backends.postgresql import CONNECTIONS
from evrun.testing import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SERVER = ROOT / "overlays" / "evrun" / "server"
DEPLOY = SERVER / "deploy"
PAGE = (SERVER / "DEPLOYING.md").read_text(encoding="utf-8")

# By systemd.unit(5), systemd.service(5), systemd.exec(5). systemd ignores what it cannot read.
KEYS = {
    "Unit": {"Description", "Wants", "After"},
    "Service": {
        *("Type", "User", "Group", "Environment", "EnvironmentFile", "ExecStart", "Restart"),
        *("RestartSec", "TimeoutStopSec", "StateDirectory", "StateDirectoryMode", "UMask"),
        *("WorkingDirectory", "LimitNOFILE", "CapabilityBoundingSet", "LockPersonality"),
        *("NoNewPrivileges", "PrivateDevices", "PrivateTmp", "ProtectControlGroups", "ProtectHome"),
        *("ProtectKernelModules", "ProtectKernelTunables", "ProtectSystem", "RestrictNamespaces"),
        *("RestrictAddressFamilies", "RestrictRealtime", "SystemCallArchitectures"),
    },
    "Install": {"WantedBy"},
}


def unit() -> dict[str, dict[str, list[str]]]:
    """Return the unit: of each section, the values of each key."""
    found: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in (DEPLOY / "evrun.service").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return found


def evrun_command(words: list[str]) -> click.Command:
    """Return the command that the words after `evrun` are, parsed as it would parse them."""
    command: click.Command = app
    rest = list(words)
    while isinstance(command, click.Group):
        command = command.commands[rest.pop(0)]
    command.make_context(command.name, rest, resilient_parsing=False)
    return command


def test_the_unit_says_what_systemd_knows(tmp_path: Path) -> None:
    """Known keys, each once but for environment; and where systemd is, it finds nothing to say."""
    parser = configparser.ConfigParser(strict=False, delimiters=("=",), interpolation=None)
    parser.read(DEPLOY / "evrun.service", encoding="utf-8")
    assert parser.sections() == list(KEYS)
    for name, keys in unit().items():
        assert set(keys) <= KEYS[name]
        assert all(len(values) == 1 for key, values in keys.items() if key != "Environment")
    if (command := shutil.which("systemd-analyze")) is not None:
        text = (DEPLOY / "evrun.service").read_text(encoding="utf-8")
        here = str(Path(sys.executable).with_name("evrun"))  # it wants the program to be there
        (tmp_path / "evrun.service").write_text(text.replace("/usr/local/bin/evrun", here))
        arguments = ["verify", str(tmp_path / "evrun.service")]
        result = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
        assert [line for line in result.stderr.splitlines() if "evrun.service" in line] == []


def test_the_unit_runs_a_command_that_there_is() -> None:
    """With options that it takes, on loopback, over a file in the folder that systemd makes."""
    service = unit()["Service"]
    program, *words = shlex.split(service["ExecStart"][0])
    assert Path(program).name == "evrun"
    assert evrun_command(words).name == "serve"
    assert "127.0.0.1" in words
    (folder,) = service["StateDirectory"]
    assert service["WorkingDirectory"] == [f"/var/lib/{folder}"]
    assert f"EVRUN_LOCAL=/var/lib/{folder}/evrun.db" in service["Environment"]


def test_the_image_is_built_of_what_there_is() -> None:
    """Known instructions, sources that exist, pinned images, its own user, commands as lists."""
    source: Any = io.BytesIO((DEPLOY / "Containerfile").read_bytes())  # the library has no types
    parser = DockerfileParser(fileobj=source)
    steps = [each for each in parser.structure if each["instruction"] != "COMMENT"]
    names = [each["instruction"] for each in steps]
    assert set(names) <= {
        *("FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL"),
        *("HEALTHCHECK", "ENTRYPOINT", "CMD"),
    }
    values = {each["instruction"]: each["value"] for each in steps}  # the last of each
    assert len(parser.parent_images) == 2
    assert all(re.fullmatch(r"[a-z]+:\d[\w.-]*", image) for image in parser.parent_images)
    for step in steps:
        if step["instruction"] == "COPY" and "--from" not in step["value"]:
            *sources, _ = step["value"].split()
            assert all((ROOT / source).exists() for source in sources)
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert values["USER"] == "evrun"
    assert json.loads(values["ENTRYPOINT"]) == ["evrun"]
    assert evrun_command(json.loads(values["CMD"])).name == "serve"
    check = json.loads(values["HEALTHCHECK"].partition("CMD ")[2])
    compile(check[2], "HEALTHCHECK", "exec")
    assert json.loads(values["VOLUME"]) == ["/data"]
    assert parser.envs["EVRUN_LOCAL"] == "/data/evrun.db"
    extras = re.search(r"'\.\[(.+?)\]'", values["RUN"] + str([s["value"] for s in steps]))
    assert extras is not None
    assert extras[1] == "cli,postgres,server"


def test_the_compose_file_follows_the_specification() -> None:
    """The schema of the specification itself; no key stands twice."""
    path = DEPLOY / "compose.yaml"
    subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema"),
            *("--builtin-schema", "vendor.compose-spec", path),
        ],
        check=True,
        capture_output=True,
    )
    compose = composed()
    server, db = compose["services"]["server"], compose["services"]["db"]
    assert evrun_command([str(word) for word in server["command"]]).name == "serve"
    context = (DEPLOY / server["build"]["context"]).resolve()
    assert context == ROOT
    assert (context / server["build"]["dockerfile"]).samefile(DEPLOY / "Containerfile")
    assert all(port.startswith("127.0.0.1:") for port in server["ports"])
    assert set(server["depends_on"]) == {"db"}
    password = "${EVRUN_DB_PASSWORD:?set it in .env}"
    assert db["environment"]["POSTGRES_PASSWORD"] == password
    assert server["environment"] == {"PGPASSWORD": password, "EVRUN_LOCAL": ""}
    url = f"postgresql://{db['environment']['POSTGRES_USER']}@db/{db['environment']['POSTGRES_DB']}"
    assert f"--database={url}" in server["command"]
    assert f"keys create me --database {url}" in PAGE


def drain() -> float:
    """Return the seconds that requests under way get, as the files run the server."""
    for words in (unit()["Service"]["ExecStart"][0], str(composed()["services"]["server"])):
        assert "--drain-timeout" not in words
    option = next(each for each in app.commands["serve"].params if each.name == "drain_timeout")
    assert isinstance(option.default, float)
    return option.default


def test_a_server_may_drain_before_it_is_killed() -> None:
    """The unit and the compose file wait longer than it drains, and the page says how long."""
    (seconds,) = unit()["Service"]["TimeoutStopSec"]
    grace = composed()["services"]["server"]["stop_grace_period"]
    assert float(seconds) >= drain() + 10  # to cut off what is left, and to close the database
    assert grace == f"{seconds}s"
    assert {f"`TimeoutStopSec={seconds}`", f"`stop_grace_period: {grace}`"} <= set(
        re.findall(r"`[^`]+`", PAGE)
    )


def checks() -> dict[str, list[str]]:
    """Return the commands with which containers ask for the server's health."""
    source: Any = io.BytesIO((DEPLOY / "Containerfile").read_bytes())  # the library has no types
    image = DockerfileParser(fileobj=source)
    (check,) = (s["value"] for s in image.structure if s["instruction"] == "HEALTHCHECK")
    return {
        "/healthz": json.loads(check.partition("CMD ")[2]),
        "/readyz": composed()["services"]["server"]["healthcheck"]["test"][1:],
    }


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_checks_tell_a_server_from_none(tmp_path: Path, path: str) -> None:
    """Each asks its path, succeeds while there is a server, and fails when there is none."""
    program, option, code = checks()[path]
    assert (program, option) == ("python", "-c")
    assert f"127.0.0.1:8000{path}" in code
    with Server(f"sqlite:///{tmp_path / 'evrun.db'}") as server:
        here = code.replace("http://127.0.0.1:8000", server.base_url.removesuffix("/v4"))
        assert subprocess.run([sys.executable, option, here], check=False).returncode == 0
    gone = subprocess.run([sys.executable, option, here], capture_output=True, check=False)
    assert gone.returncode != 0


def test_prometheus_asks_for_what_there_is() -> None:
    """Known keys; the path and the port are the server's, and queries name metrics that it has."""
    (job,) = YAML(typ="safe", pure=True).load(DEPLOY / "prometheus.yaml")["scrape_configs"]
    assert set(job) == {"job_name", "metrics_path", "scrape_interval", "static_configs"}
    ((target,),) = (each["targets"] for each in job["static_configs"])
    words = shlex.split(unit()["Service"]["ExecStart"][0])
    assert target == f"{words[words.index('--host') + 1]}:{words[words.index('--port') + 1]}"
    assert f"127.0.0.1:{target.partition(':')[2]}:8000" in composed()["services"]["server"]["ports"]
    metrics = Metrics()
    metrics(rejected(None, 400, 0))
    application = create_app(Database("sqlite:///never-opened.db"), metrics=metrics)
    assert job["metrics_path"] in {getattr(each, "path", None) for each in application.routes}
    shown = generate_latest(metrics._registry).decode()
    named = set(re.findall(r"\bevrun_\w+", PAGE))
    assert len(named) == 3
    assert all(re.search(rf"^{name}[{{ ]", shown, re.MULTILINE) for name in named)
    assert f'up{{job="{job["job_name"]}"}}' in PAGE


def test_every_option_of_the_server_is_on_the_page() -> None:
    """And no option that no command has."""
    serve = {name for each in app.commands["serve"].params for name in each.opts}
    said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    assert serve <= said
    shell = "".join(line for line in PAGE.splitlines() if line.startswith("    "))
    others = set(re.findall(r"--[a-z-]+", shell))  # of systemd, docker, pip and PostgreSQL
    assert said - others <= {name for each in commands(app) for name in each}


def commands(command: click.Command) -> Iterator[list[str]]:
    """Yield the options of every command below."""
    for option in command.params:
        yield option.opts
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from commands(each)


def test_the_page_names_every_field_of_the_access_log() -> None:
    """Those of the code, in order."""
    line = " ".join(PAGE.split()).partition("a line is an object: ")[2].partition(".")[0]
    assert re.findall(r"`(\w+)`", line) == [each.name for each in fields(AccessRecord)]


def composed() -> Any:
    return YAML(typ="safe", pure=True).load(DEPLOY / "compose.yaml")


def test_every_file_is_on_the_page() -> None:
    """The table names what lies in `deploy/`."""
    assert set(
        re.findall(r"^\| `([\w.]+)` \| an? |^\| `([\w.]+)` \| that", PAGE, re.MULTILINE)
    ) == {
        ("evrun.service", ""),
        ("Containerfile", ""),
        ("", "compose.yaml"),
        ("prometheus.yaml", ""),
    }
    assert {each.name for each in DEPLOY.iterdir()} == {
        *("evrun.service", "Containerfile", "compose.yaml", "prometheus.yaml")
    }


def test_every_variable_is_on_the_page() -> None:
    """What the commands of a server read, and what the files set."""
    documented = set(re.findall(r"^\| `(EVRUN_\w+)` \|", PAGE, re.MULTILINE))
    files = "".join(each.read_text(encoding="utf-8") for each in DEPLOY.iterdir())
    serve = app.commands["serve"]
    read = {each.envvar for each in serve.params if isinstance(each, click.Option) and each.envvar}
    assert documented == {*re.findall(r"EVRUN_\w+", files), *read}


@pytest.mark.parametrize("line", re.findall(r"^    (?:.* -- )?(evrun [^#\n]+)", PAGE, re.MULTILINE))
def test_every_command_on_the_page_is_one(line: str) -> None:
    """With the options and arguments that it takes."""
    assert evrun_command(shlex.split(line)[1:]).help


def test_the_page_says_how_many_connections_a_worker_uses() -> None:
    """The number is the code's."""
    assert f"at most {CONNECTIONS} connections" in " ".join(PAGE.split())
