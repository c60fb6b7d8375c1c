"""The files for containers and for citation parse, and name what exists; no image is built."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import ROOT, commands

import trendtrain
from trendtrain.cli import main

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
KNOWN = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def test_the_dockerfile_has_instructions_that_docker_knows() -> None:
    names = [name for name, _ in instructions()]
    assert names[0] == "FROM"
    assert set(names) <= KNOWN
    assert re.fullmatch(r"python:3\.\d+-slim", instructions()[0][1])
    assert [rest for name, rest in instructions() if name == "USER"] == ["trendtrain"]


def test_what_the_dockerfile_copies_exists_and_is_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = {source for name, rest in instructions() if name == "COPY" for source in rest.split()[:-1]}
    assert sources == kept
    assert all((ROOT / source).exists() for source in sources)
    assert {PROJECT["readme"], *PROJECT["license-files"]} <= sources


def test_the_image_installs_extras_that_exist_and_calls_our_command() -> None:
    ((extras,),) = [re.findall(r'"\.\[(.*)\]"', rest) for name, rest in instructions() if "pip install" in rest]
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    (entry,) = [json.loads(rest) for name, rest in instructions() if name == "ENTRYPOINT"]
    assert set(entry) <= set(PROJECT["scripts"])


def test_the_services_fit_together() -> None:
    services, volumes = COMPOSE["services"], set(COMPOSE["volumes"])
    assert set(services) == {"database", "trainer", "tensorboard"}
    for service in services.values():
        named = {volume.partition(":")[0] for volume in service["volumes"]}
        assert {name for name in named if not name.startswith(".")} <= volumes
    assert set(services["trainer"]["depends_on"]) <= set(services)
    assert "healthcheck" in services["database"]
    user, name = (services["database"]["environment"][f"POSTGRES_{key}"] for key in ("USER", "DB"))
    assert f"db.url=postgresql+psycopg://{user}@database/{name}" in services["trainer"]["command"]


def test_the_command_of_the_trainer_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMPOSE["services"]["trainer"]["command"], "--cfg", "job"]) == 0
    assert "postgresql+psycopg://trendtrain@database/trendtrain" in capsys.readouterr().out


def test_the_commands_of_the_page_call_a_service() -> None:
    url = COMPOSE["services"]["trainer"]["command"][1].removeprefix("db.url=")
    for words in map(shlex.split, commands("docs/containers.md")):
        assert words[:2] == ["docker", "compose"]
        assert words[2] == "up" or (words[2:5] == ["run", "--rm", "trainer"] and words[5] in ("train", "stats"))
        assert words[2] == "up" or url in words[-1]


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert str(citation["version"]) == trendtrain.__version__ == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert "http" not in Path(ROOT / "CITATION.cff").read_text()
