"""Watching a daemon elsewhere by its pulses: what it publishes of itself every few seconds."""

import asyncio
import time
from collections.abc import Iterator
from typing import Final

import orjson
from nats.aio.msg import Msg

from contracts.errors import JsonObject, JsonValue
from contracts.subjects import Subjects
from contracts.values.times import format_micros
from daemon.cli.link.link import Link, NotPermitted, Unreachable
from daemon.cli.watch.watch_figures import Figures, Rate
from daemon.cli.watch.watch_readings import Reading

_PULSE: Final = "pulse.*"
_SILENCE_S: Final = 6.0
"""A daemon publishes every two seconds unless it is set otherwise."""


def pulse_readings(link: Link, subjects: Subjects, address: str, interval_s: float) -> Iterator[Reading]:
    """The pulses of the daemons at *link*, one reading for each; one without figures for each silence."""
    with asyncio.Runner() as runner:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        earlier: dict[str, tuple[float, Figures]] = {}
        generation = 0

        async def take(message: Msg) -> None:
            heard.put_nowait(message.data)

        async def listen() -> bytes:
            nonlocal generation
            client = await link.client()
            if link.generation != generation:
                generation = link.generation
                await client.subscribe(subjects.full(_PULSE), cb=take)
            return await link.permitted(asyncio.wait_for(heard.get(), max(_SILENCE_S, 2 * interval_s)))

        try:
            while True:
                at = format_micros(time.time_ns() // 1_000)
                try:
                    pulse = _payload(runner.run(listen()))
                except TimeoutError:
                    yield Reading(
                        at, address, None, f"no daemon was heard at {address} (console.enabled makes it tell)"
                    )
                except (Unreachable, NotPermitted, ValueError) as error:
                    yield Reading(at, address, None, str(error))
                    time.sleep(interval_s)
                else:
                    daemon_id = str(pulse.get("daemon_id"))
                    found = _figures(pulse, earlier.get(daemon_id), at)
                    earlier[daemon_id] = time.monotonic(), found
                    yield Reading(at, f"{address} {daemon_id}", found)
        finally:
            runner.run(link.close())


def _payload(body: bytes) -> JsonObject:
    """Raises ``ValueError`` for what is no pulse."""
    try:
        payload: JsonObject = dict(orjson.loads(body)["payload"])
    except (ValueError, KeyError, TypeError):
        raise ValueError("what was heard is not a pulse of this version") from None
    return payload


def _figures(pulse: JsonObject, before: tuple[float, Figures] | None, at: str) -> Figures:
    messages = _messages(pulse, before)
    obstacles = pulse.get("obstacles")
    return Figures(
        at=at,
        ready=pulse.get("ready") is True,
        phase="running" if pulse.get("ready") is True else "not ready",
        obstacles=_obstacles(obstacles),
        dependencies={},
        messages=messages,
        refusals=[],
        per_second=None if before is None else sum(rate.per_second or 0.0 for rate in messages),
        lag_p50_ms=_number(_within(pulse, "lag_ms", "p50")),
        lag_p99_ms=_number(_within(pulse, "lag_ms", "p99")),
        batch_size=None,
        outbox_rows=_whole(_within(pulse, "outbox", "rows")),
        outbox_failed=_whole(_within(pulse, "outbox", "failed")),
        outbox_oldest_s=_number(_within(pulse, "outbox", "oldest_s")),
        dead_letters_open=_whole(pulse.get("dead_letters_open")),
        consumers=_consumers(pulse.get("consumers")),
        memory_mib=None,
    )


def _messages(pulse: JsonObject, before: tuple[float, Figures] | None) -> list[Rate]:
    kinds = pulse.get("messages")
    earlier = {} if before is None else {rate.labels: rate.total for rate in before[1].messages}
    passed_s = None if before is None else max(0.001, time.monotonic() - before[0])
    rates: list[Rate] = []
    for kind, outcomes in kinds.items() if isinstance(kinds, dict) else ():
        for outcome, total in outcomes.items() if isinstance(outcomes, dict) else ():
            if isinstance(total, int):
                come = max(0, total - earlier.get((kind, outcome), 0))
                rates.append(Rate((kind, outcome), total, None if passed_s is None else come / passed_s))
    return rates


def _obstacles(found: JsonValue) -> list[JsonObject]:
    if not isinstance(found, list):
        return []
    return [each if isinstance(each, dict) else {"dependency": str(each), "detail": ""} for each in found]


def _consumers(found: JsonValue) -> dict[str, tuple[int, int]]:
    consumers: dict[str, tuple[int, int]] = {}
    for name, figures in found.items() if isinstance(found, dict) else ():
        if isinstance(figures, dict):
            consumers[name] = _whole(figures.get("pending")) or 0, _whole(figures.get("unacknowledged")) or 0
    return consumers


def _within(pulse: JsonObject, name: str, key: str) -> JsonValue:
    part = pulse.get(name)
    return part.get(key) if isinstance(part, dict) else None


def _number(value: JsonValue) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: JsonValue) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
