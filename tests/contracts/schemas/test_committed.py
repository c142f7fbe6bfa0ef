"""docs/contracts is what the program says now."""

from pathlib import Path

from contracts.schemas.export import export
from daemon.version import VERSION

COMMITTED = Path(__file__).parents[3] / "docs" / "contracts"


def test_the_committed_contracts_are_those_of_the_program(tmp_path: Path) -> None:
    """Where this fails, the contract changed: see what ``headgate contracts diff`` says, then ``make contracts``."""
    made = {path.name: path.read_bytes() for path in export(tmp_path, version=VERSION)}
    there = {path.name: path.read_bytes() for path in COMMITTED.iterdir() if path.name != "README.md"}
    assert sorted(made.keys() ^ there.keys()) == []
    assert [name for name in made if made[name] != there[name]] == []
