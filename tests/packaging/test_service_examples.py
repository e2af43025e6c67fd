"""examples/service: the unit and the Kubernetes example start a real `connector serve`, and agree with each other."""

from __future__ import annotations

import configparser
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.core
import yaml

from connector.cli.app import app
from connector.connection.load import load_connection
from connector.connection.model import Connection
from connector.definitions.catalog import Catalog
from connector.linting.engine import lint
from tests.kit import ROOT
from tests.packaging.test_container_file import words

FOLDER = ROOT / "examples" / "service"
UNIT = (FOLDER / "connector.service").read_text("utf-8")
#: Seconds that the end of the process takes beyond --grace, at most.
MARGIN = 10


def parsed(arguments: list[str]) -> dict[str, Any]:
    """What the real command makes of a command line. Raise a usage error for an unknown option."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    command = group.commands["serve"]
    with command.make_context("serve", list(arguments)) as context:
        return dict(context.params)


def unit() -> dict[str, list[str]]:
    """The settings of the service's section."""
    found: dict[str, list[str]] = {}
    section = UNIT.split("[Service]")[1].split("[Install]")[0]
    for line in section.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def manifests() -> dict[str, Any]:
    documents = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text("utf-8"))
    return {document["kind"]: document for document in documents}


def pod() -> Any:
    return manifests()["Deployment"]["spec"]["template"]["spec"]


def container() -> Any:
    [one] = pod()["containers"]
    return one


def of_unit() -> list[str]:
    [line] = unit()["ExecStart"]
    return shlex.split(line)[2:]


COMMAND_LINES = {
    "container": words("CMD"),
    "systemd": of_unit(),
    "kubernetes": list(map(str, container()["args"])),
}


def connection() -> Connection:
    return load_connection(FOLDER / "connection.yaml", Catalog())


def secrets() -> set[str]:
    """The files of the credentials and of the token."""
    names = {"token"}
    for reference in connection().credentials.values():
        assert reference.kind == "file"
        names.add(reference.location)
    return names


@pytest.mark.parametrize("place", COMMAND_LINES)
def test_a_command_line_is_one_of_serve(place: str) -> None:
    found = parsed(COMMAND_LINES[place])
    assert list(map(str, found["connections"])) == ["/etc/connector/connection.yaml"]
    assert found["token"] == "file:token"
    assert found["port"] == 8080
    # Only a proxy on its own machine reaches the one of the unit.
    assert found["host"] == ("127.0.0.1" if place == "systemd" else "0.0.0.0")
    assert (found["state"] is None) != (found["store"] is None)
    assert (found["store"] is not None) == (place == "kubernetes")


def test_an_option_that_there_is_not_is_noticed() -> None:
    with pytest.raises(Exception, match="No such option: --gracious"):
        parsed([*of_unit(), "--gracious", "20"])


def test_the_connection_has_no_problem() -> None:
    assert [str(problem) for problem in lint([FOLDER / "connection.yaml"], Catalog())] == []
    assert manifests()["ConfigMap"]["data"]["connection.yaml"] == (
        (FOLDER / "connection.yaml").read_text("utf-8")
    )


# The container file and Kubernetes ------------------------------------------------------------------------------------


def test_kubernetes_runs_the_image_that_is_built() -> None:
    image = (FOLDER / "Containerfile").read_text("utf-8")
    user = pod()["securityContext"]
    assert f"\nUSER {user['runAsUser']}:{user['runAsGroup']}\n" in image
    assert user["runAsNonRoot"] is True
    assert f"\nWORKDIR {container()['workingDir']}\n" in image
    [port] = container()["ports"]
    assert f"\nEXPOSE {port['containerPort']}\n" in image
    assert "command" not in container()  # the image's entry point
    assert container()["securityContext"]["readOnlyRootFilesystem"] is True


def test_what_is_mounted_is_what_the_command_line_names() -> None:
    found = parsed(COMMAND_LINES["kubernetes"])
    mounts = {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}
    assert Path(found["connections"][0]).parent == Path(mounts["connection"])
    assert mounts["secrets"] == container()["workingDir"]
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    assert (
        volumes["connection"]["configMap"]["name"] == (manifests()["ConfigMap"]["metadata"]["name"])
    )
    told = (FOLDER / "kubernetes.yaml").read_text("utf-8")
    name = volumes["secrets"]["secret"]["secretName"]
    assert f"kubectl create secret generic {name} " in told
    store = found["store"].removeprefix("file:")
    assert set(re.findall(r"--from-file=(\w+)", told)) == {*secrets(), store}


def test_probes_and_the_service_reach_the_container() -> None:
    [port] = container()["ports"]
    paths = {
        name: container()[name]["httpGet"]["path"] for name in ("livenessProbe", "readinessProbe")
    }
    assert paths == {"livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        assert container()[name]["httpGet"]["port"] == port["name"]
    service = manifests()["Service"]["spec"]
    deployment = manifests()["Deployment"]["spec"]
    assert service["ports"][0]["targetPort"] == port["name"]
    labels = deployment["template"]["metadata"]["labels"]
    assert service["selector"] == deployment["selector"]["matchLabels"] == labels
    assert deployment["replicas"] > 1


# The unit -------------------------------------------------------------------------------------------------------------


def test_the_unit_is_one() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT)
    assert parser.sections() == ["Unit", "Service", "Install"]


def test_the_unit_has_each_secret_and_the_state() -> None:
    loaded = dict(entry.split(":") for entry in unit()["LoadCredential"])
    assert set(loaded) == secrets()
    for name, path in loaded.items():
        assert path == f"/etc/connector/secrets/{name}"
    assert unit()["WorkingDirectory"] == ["%d"]
    found = parsed(of_unit())
    assert str(found["state"]) == f"/var/lib/{unit()['StateDirectory'][0]}"
    assert (unit()["StateDirectoryMode"], unit()["DynamicUser"]) == (["0700"], ["yes"])


def test_the_unit_and_the_page_say_the_same_of_changed_secrets() -> None:
    # systemd makes copies when it starts a service: whoever reads them again reads the old ones.
    assert "LoadCredential" in unit()
    assert "restart it after one of them has changed" in UNIT
    page = (ROOT / "docs" / "running.md").read_text("utf-8")
    [secret] = re.findall(r"^## Secrets\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    assert "`LoadCredential` makes copies, so `systemctl restart connector` has to follow" in secret


def test_what_the_unit_says_to_do_before_can_be_done() -> None:
    told = re.findall(r"^#   (.*)$", UNIT, re.MULTILINE)
    [install] = [line for line in told if " install --constraint " in line]
    program, _, _, constraints, package = shlex.split(install)
    assert (ROOT / constraints).is_file()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extra = package.removeprefix(".[").removesuffix("]")
    assert extra in project["optional-dependencies"]
    assert told[0].split()[0] == f"python{project['requires-python'].removeprefix('>=')}"

    folder = str(Path(program).parent)
    [start] = unit()["ExecStart"]
    looked_at = [line for line in told if "/connector " in line and "--state" in line]
    assert len(looked_at) == 2
    for line in (*looked_at, start):
        assert line.startswith(f"{folder}/connector ")
        assert f"--state {parsed(of_unit())['state']}" in line
    [copied] = [line for line in told if line.startswith("cp ")]
    for path in re.findall(r"examples/\S+", copied):
        assert (ROOT / path).is_file()
    assert any(line.startswith("(umask 077; openssl rand") for line in told)


def test_the_page_looks_where_the_examples_keep_what_they_take() -> None:
    page = (ROOT / "docs" / "running.md").read_text("utf-8")
    found = re.findall(r"^(sudo|docker|kubectl) .*connector status (\S+ \S+)$", page, re.MULTILINE)
    state = f"--state {parsed(COMMAND_LINES['container'])['state']}"
    store = f"--store {parsed(COMMAND_LINES['kubernetes'])['store']}"
    assert found == [("sudo", state), ("docker", state), ("kubectl", store)]
    assert f"deployment/{manifests()['Deployment']['metadata']['name']} " in page


# How it ends ----------------------------------------------------------------------------------------------------------


def test_nobody_is_killed_within_the_grace() -> None:
    grace = {place: parsed(line)["grace"] for place, line in COMMAND_LINES.items()}
    assert float(unit()["TimeoutStopSec"][0]) >= grace["systemd"] + MARGIN

    program, seconds = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    told = pod()["terminationGracePeriodSeconds"]
    assert told >= int(seconds) + grace["kubernetes"] + MARGIN

    image = (FOLDER / "Containerfile").read_text("utf-8")
    [timeout] = re.findall(r"--stop-timeout (\d+)", image)
    assert int(timeout) >= grace["container"] + MARGIN
