"""The dashboards against Grafana's own schema of them, which it publishes as types."""

import json
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

DASHBOARDS: Final = sorted((Path(__file__).parents[2] / "deploy" / "grafana").glob("*.json"))
_TYPES: Final = "node_modules/@grafana/schema/dist/types/raw/dashboard/x/types.gen.d.ts"
_TSC: Final = [
    "node_modules/.bin/tsc",
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--module",
    "nodenext",
    "--target",
    "es2022",
]
# What a query of annotations has of its data source, which the schema of dashboards does not know.
_OF_PROMETHEUS: Final = ("expr", "titleFormat")


def words_for_names(types: str) -> str:
    """Enumerations as the words that stand in JSON: the language takes no word for a name."""
    values: dict[str, str] = {}

    def union(found: re.Match[str]) -> str:
        members = re.findall(r"(\w+) = (\"[^\"]*\"|-?\d+)", found[2])
        values.update({f"{found[1]}.{member}": value for member, value in members})
        return f"export type {found[1]} = {' | '.join(value for _, value in members)};"

    text = re.sub(r"export declare enum (\w+) \{(.*?)\}", union, types, flags=re.DOTALL)
    return re.sub(r"\b\w+\.\w+\b", lambda found: values.get(found[0], found[0]), text)


@pytest.fixture(scope="module")
def complaints(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the compiler says of all dashboards: it reads the types once."""
    folder = tmp_path_factory.mktemp("dashboards")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "types.ts").write_text(words_for_names((compiled / _TYPES).read_text()))
    for dashboard in DASHBOARDS:
        document = json.loads(dashboard.read_text())
        for query in document["annotations"]["list"]:
            for name in _OF_PROMETHEUS:
                del query[name]
        (folder / f"{dashboard.stem}.ts").write_text(
            'import type { Dashboard } from "./types.js";\n'
            f"export const dashboard: Dashboard = {json.dumps(document)};\n"
        )
    command = [*_TSC, *(str(folder / f"{dashboard.stem}.ts") for dashboard in DASHBOARDS)]
    done = subprocess.run(command, cwd=compiled, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode == 0) == (done.stdout == ""), done.stderr
    return done.stdout


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_what_grafana_says_that_one_is(dashboard: Path, complaints: str) -> None:
    assert [line for line in complaints.splitlines() if f"{dashboard.stem}.ts" in line] == []
    assert complaints == ""
