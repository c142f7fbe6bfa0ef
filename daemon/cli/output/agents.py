"""Agents for people: who does what, and what they said as a timeline, at 80 columns."""

import json
from collections.abc import Iterator
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from contracts.errors import JsonObject, JsonValue
from daemon.cli.output.tables import cell, grid, status_cell

_WIDEST_TYPE: Final = 9


def system_status(_command: str, result: JsonObject) -> Iterator[RenderableType]:
    """Agents by name, then daemons and the last round of healing in a line each."""
    agents = _objects(result.get("agents"))
    if agents:
        yield grid(
            ["agent", "state", "model", "session_id", "last heard of"],
            [
                (
                    cell(agent.get("agent"), "bold"),
                    status_cell(agent.get("state")),
                    cell(agent.get("model") or "-"),
                    cell(agent.get("session_id")),
                    _moment(agent.get("last_heartbeat_at"))[5:],
                )
                for agent in agents
            ],
        )
    else:
        yield cell("no agent was seen", "dim")
    for daemon in _objects(result.get("daemons")):
        yield Text.assemble(cell("daemon ", "bold"), cell(f"{daemon.get('daemon')} "), status_cell(daemon.get("state")))
    healed = result.get("self_heal")
    if isinstance(healed, dict):
        said = ", ".join(
            f"{name} {healed.get(key)}"
            for name, key in (("found", "items_found"), ("out again", "items_republished"), ("errors", "errors"))
        )
        yield Text.assemble(cell("healing ", "bold"), cell(f"{_moment(healed.get('started_at'))}: {said}"))


def logs(_command: str, result: JsonObject) -> Iterator[RenderableType]:
    """What was said, newest first; who said it stands in front of it where there are several."""
    items = _objects(result.get("items"))
    several = len({item.get("session_id") for item in items}) > 1
    for item in items:
        line = Text.assemble(
            cell(_moment(item.get("at")), "dim"), "  ", cell(f"{item.get('type')!s:<{_WIDEST_TYPE}}", "bold"), "  "
        )
        if several:
            line.append_text(cell(f"{item.get('agent')} {item.get('session_id')}  ", "cyan"))
        if item.get("text") is not None:
            line.append_text(cell(item["text"]))
        if item.get("data") is not None:
            data = json.dumps(item["data"], ensure_ascii=False)
            line.append_text(cell(f" {data}" if item.get("text") is not None else data, "dim"))
        yield line
    if not items:
        yield cell("nothing was said", "dim")


def _objects(value: JsonValue) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _moment(at: JsonValue) -> str:
    return at[:19].replace("T", " ") if isinstance(at, str) else "-"
