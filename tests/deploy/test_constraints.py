"""deploy/constraints.txt: the image installs what pyproject.toml asks for, in versions that it allows."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from tests.deploy.conftest import DEPLOY

EXTRAS = ("otel", "nkeys")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, Version]:
    lines = (DEPLOY / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {normal(name): Version(version) for name, version in pairs}


def asked() -> list[Requirement]:
    project = tomllib.loads((Path(DEPLOY).parent / "pyproject.toml").read_text())["project"]
    extras = [each for extra in EXTRAS for each in project["optional-dependencies"][extra]]
    return [Requirement(each) for each in [*project["dependencies"], *extras]]


def test_every_dependency_is_locked_to_a_version_that_is_allowed() -> None:
    versions = locked()
    wrong = [
        str(requirement)
        for requirement in asked()
        if normal(requirement.name) not in versions or versions[normal(requirement.name)] not in requirement.specifier
    ]
    assert wrong == []


def test_what_dependencies_need_is_locked_too() -> None:
    versions = locked()
    missing = set()
    for name in versions:
        try:
            needs = [Requirement(each) for each in requires(name) or []]
        except PackageNotFoundError:
            continue  # not in this environment
        missing |= {
            f"{name} needs {need}"
            for need in needs
            if (need.marker is None or need.marker.evaluate({"extra": ""})) and normal(need.name) not in versions
        }
    assert missing == set()
