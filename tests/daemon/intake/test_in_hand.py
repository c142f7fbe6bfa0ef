"""The note of what is in hand: what it tells the next life of the process, and who waits for whom in this one."""

import asyncio
from pathlib import Path

import pytest

from contracts.gate.delivery import Delivery, Lineage
from daemon.intake.in_hand import InHand, in_hand_of, position
from domain.intake.suspects import Suspicion


def delivery(sequence: int, stream: str = "HG_INGEST", delivered: int = 1) -> Delivery:
    ack_to = f"$JS.ACK.{stream}.headgate-ingest.{delivered}.{sequence}.{sequence}.1795911267316128918.0"
    return Delivery("ingest.session.usage", b"{}", {}, stream, sequence, delivered, 0, ack_to)


def next_life(state_dir: Path) -> tuple[InHand, bool]:
    """As after a death: the file is all that is left."""
    return in_hand_of(state_dir)


async def test_what_was_in_hand_at_a_death_is_suspect_and_what_was_done_is_not(tmp_path: Path) -> None:
    first, died = in_hand_of(tmp_path)
    assert not died
    await first.work_on([delivery(1), delivery(2), delivery(3)])
    first.done([delivery(2)])

    second, died = next_life(tmp_path)

    assert died
    assert second.suspects == {("HG_INGEST", 1): Suspicion(1, 0), ("HG_INGEST", 3): Suspicion(1, 0)}


async def test_only_what_was_alone_in_the_whole_process_was_alone(tmp_path: Path) -> None:
    first, _ = in_hand_of(tmp_path)
    first.note([delivery(1)])
    first.note([delivery(1, "HG_CALLBACK")])
    second, _ = next_life(tmp_path)
    second.note([delivery(1)])

    third, _ = next_life(tmp_path)

    assert third.suspects == {("HG_INGEST", 1): Suspicion(2, 1), ("HG_CALLBACK", 1): Suspicion(1, 0)}


async def test_what_waits_for_storage_or_was_given_back_is_not_to_blame(tmp_path: Path) -> None:
    first, _ = in_hand_of(tmp_path)
    await first.work_on([delivery(1), delivery(2)])
    first.waits([delivery(1), delivery(2)])

    second, died = next_life(tmp_path)

    assert died
    assert not second.suspects


async def test_an_orderly_end_is_no_death(tmp_path: Path) -> None:
    first, _ = in_hand_of(tmp_path)
    await first.work_on([delivery(1)])
    first.done([delivery(1)])
    first.end()

    _, died = next_life(tmp_path)

    assert not died


async def test_the_file_stays_small_and_says_the_same(tmp_path: Path) -> None:
    first, _ = in_hand_of(tmp_path)
    first.note([delivery(7)])
    for start in range(100, 200_000, 1_000):
        many = [delivery(sequence) for sequence in range(start, start + 1_000)]
        first.note(many)
        first.done(many)

    assert (tmp_path / "in-hand").stat().st_size < 5 * 1024 * 1024
    second, _ = next_life(tmp_path)
    assert second.suspects == {("HG_INGEST", 7): Suspicion(1, 1)}


@pytest.mark.parametrize("torn", [b'{"working":{"HG_ING', b"\x00\xff", b'["working"]\n', b'{"working":5}\n'])
async def test_a_torn_line_or_garbage_is_passed_over(tmp_path: Path, torn: bytes) -> None:
    first, _ = in_hand_of(tmp_path)
    first.note([delivery(1), delivery(2)])
    with (tmp_path / "in-hand").open("ab") as file:
        file.write(torn)

    second, _ = next_life(tmp_path)

    assert set(second.suspects) == {("HG_INGEST", 1), ("HG_INGEST", 2)}


async def test_suspects_have_their_turn_when_nothing_else_is_in_hand(tmp_path: Path) -> None:
    in_hand, _ = in_hand_of(tmp_path)
    seen: list[str] = []
    await in_hand.work_on([delivery(1)])

    async def suspect() -> None:
        async with in_hand.nothing_else():
            seen.append("turn")
            in_hand.note([delivery(9)])
            await asyncio.sleep(0)
            in_hand.done([delivery(9)])

    async def new() -> None:
        await in_hand.work_on([delivery(2)])
        seen.append("new")

    async def waited() -> None:
        await in_hand.resume([delivery(3)])
        seen.append("resumed")
        in_hand.done([delivery(3)])

    tasks = [asyncio.create_task(each()) for each in (suspect, new, waited)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert seen == ["resumed"]
    in_hand.done([delivery(1)])
    await asyncio.gather(*tasks)

    assert seen == ["resumed", "turn", "new"]


def test_a_replay_is_noted_where_it_lies_itself() -> None:
    replay = delivery(5, "HG_REPLAY")._replace(
        stream="HG_INGEST", sequence=77, lineage=Lineage("letter", 1, "run", edited=False)
    )

    assert position(replay) == ("HG_REPLAY", 5)


async def test_suspects_that_cannot_come_again_are_forgotten(tmp_path: Path) -> None:
    first, _ = in_hand_of(tmp_path)
    first.note([delivery(sequence) for sequence in (10, 20, 30)])
    second, _ = next_life(tmp_path)

    second.clear("HG_INGEST", floor=10, last=29)

    assert set(second.suspects) == {("HG_INGEST", 20)}
