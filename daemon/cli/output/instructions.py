"""An instruction as a person reads it: its blocks in their order, what differs from another version, its versions."""

from collections.abc import Iterator, Mapping
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from contracts.errors import JsonObject, JsonValue
from daemon.cli.output.tables import cell, grid, status_cell

_STYLE: Final[Mapping[str, str]] = {"added": "green", "removed": "red", "changed": "yellow", "moved": "cyan"}


def instruction(_command: str, result: JsonObject) -> Iterator[RenderableType]:
    """The version as it reads; what it is compared to and its history where they were asked for."""
    yield Text.assemble(
        cell(f"version {result.get('version')} of {result.get('latest_version')}", "bold"),
        "  ",
        status_cell(result.get("validation_status")),
        cell(f"  by {result.get('created_by')}, {result.get('created_at')}", "dim"),
    )
    yield cell(f"instruction {result.get('instruction_id')}, job {result.get('job_id')}", "dim")
    blocks = _objects(result.get("blocks"))
    yield grid(
        ["block", "type", "text"],
        [(cell(block.get("block_id"), "dim"), cell(block.get("type")), cell(block.get("text"))) for block in blocks],
    )
    for issue in _objects(result.get("issues")):
        yield cell(f"{issue.get('code')}: {issue.get('message')} {issue.get('block_id') or ''}".rstrip(), "yellow")
    if "difference" in result:
        yield from _difference(result)
    if history := _objects(result.get("history")):
        yield grid(
            [("version", "right"), "validation", "by", "at"],
            [
                (
                    cell(each.get("version")),
                    status_cell(each.get("validation_status")),
                    cell(each.get("created_by")),
                    cell(each.get("created_at")),
                )
                for each in history
            ],
        )


def _difference(result: JsonObject) -> Iterator[RenderableType]:
    yield cell(f"against version {result.get('compared_to')}", "bold")
    changes = _objects(result.get("difference"))
    if not changes:
        yield cell("no difference", "dim")
    for change in changes:
        what = str(change.get("change"))
        yield cell(f"{what} {change.get('block_id')}", _STYLE.get(what, ""))
        if "before" in change:
            yield cell(f"- {change['before']}", "red")
        if "after" in change:
            yield cell(f"+ {change['after']}", "green")


def _objects(value: JsonValue) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
