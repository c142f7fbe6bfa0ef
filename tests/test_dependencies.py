"""What the program imports is what installing it brings: nothing that only developers happen to have."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHIPPED = ("contracts", "domain", "storage", "handlers", "adapters", "daemon")
OPTIONAL = {"opentelemetry", "bench", "matplotlib"}
COMES_WITH_PYDANTIC = {"pydantic_core", "typing_extensions"}
OURS_OR_GIVEN = {*sys.stdlib_module_names, *SHIPPED, *OPTIONAL, *COMES_WITH_PYDANTIC}


def imported() -> dict[str, str]:
    """Top-level names of other people's modules, each with a file that imports it."""
    found: dict[str, str] = {}
    for path in (path for package in SHIPPED for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            found |= {name.partition(".")[0]: str(path.relative_to(ROOT)) for name in names}
    return {name: path for name, path in found.items() if name not in OURS_OR_GIVEN}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_import_is_of_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {normal(re.split(r"[\[<>=~! ;]", requirement)[0]) for requirement in project["dependencies"]}
    bringing = packages_distributions()
    missing = {
        name: path
        for name, path in imported().items()
        if not declared & {normal(distribution) for distribution in bringing.get(name, ())}
    }
    assert missing == {}


PUBLIC_ALL_THE_SAME = {"_fields", "_replace", "_asdict", "_make", "_mapping", "_exit"}
"""Of named tuples, rows and ``os``: documented, whatever their names begin with."""


def test_each_private_part_of_a_library_stands_in_the_decision_with_a_test_that_is_there() -> None:
    page = (ROOT / "docs" / "decisions" / "0004-libraries.md").read_text()
    rows = [line for line in page.partition("## Private parts")[2].splitlines() if line.startswith("| ")]
    used = {
        (str(path.relative_to(ROOT)), node.attr)
        for package in SHIPPED
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr) and node.attr not in PUBLIC_ALL_THE_SAME
        if not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"})
    }
    assert [use for use in sorted(used) if not any(use[0] in row and use[1] in row for row in rows)] == []
    assert [
        path for path in re.findall(r"[\w/]+\.py|tests/[\w/]+", "\n".join(rows)) if not (ROOT / path).exists()
    ] == []


def test_only_storage_speaks_to_a_units_connection() -> None:
    """Handlers and the daemon ask repositories: they neither see a column nor build a repository themselves."""
    speaking = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("handlers", "daemon")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "connection" and ast.unparse(node.value).endswith("uow")
    ]
    assert speaking == []
