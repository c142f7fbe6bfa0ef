"""The lifecycles of items and publications, as tables and as pictures."""

from itertools import product
from pathlib import Path

import pytest

from contracts.registry import REGISTRY
from contracts.subjects import Family
from contracts.values.states import ItemState, PublicationState
from domain.content import item_states, publication_states
from domain.content.item_states import ItemSignal
from domain.content.publication_states import PublicationSignal

DOCUMENT = Path(__file__).parents[3] / "docs" / "content.md"


def test_the_diagrams_in_the_documents_are_the_tables() -> None:
    """Regenerate them with ``python -c "from domain.content.item_states import diagram; print(diagram())"``."""
    blocks = [part.partition("\n```")[0] for part in DOCUMENT.read_text().split("```mermaid\n")[1:]]

    assert blocks == [item_states.diagram(), publication_states.diagram()]


@pytest.mark.parametrize(("state", "signal"), [*product(ItemState, ItemSignal)])
def test_an_item_moves_as_the_contract_says_and_no_other_way(state: ItemState, signal: ItemSignal) -> None:
    allowed = {
        ("pending", "result_reported"): "analysed",
        ("pending", "gave_up"): "failed",
        ("failed", "replayed"): "pending",
    }
    assert item_states.next_state(state, signal) == allowed.get((state, signal))


@pytest.mark.parametrize(("state", "signal"), [*product(PublicationState, PublicationSignal)])
def test_a_publication_moves_as_the_contract_says_and_no_other_way(
    state: PublicationState, signal: PublicationSignal
) -> None:
    allowed = {
        ("scheduled", "rescheduled"): "scheduled",
        ("scheduled", "due"): "dispatched",
        ("scheduled", "cancel_requested"): "cancelled",
        ("dispatched", "published"): "published",
        ("dispatched", "failed_for_now"): "scheduled",
        ("dispatched", "failed"): "failed",
        ("dispatched", "gave_up"): "failed",
        ("failed", "replayed"): "scheduled",
    }
    assert publication_states.next_state(state, signal) == allowed.get((state, signal))


def test_every_event_is_a_kind_of_the_registry() -> None:
    told = [f"item.{name}" for name in item_states.EVENT_OF.values()]
    told += [f"publication.{name}" for name in publication_states.EVENT_OF.values()]

    assert [kind for kind in told if REGISTRY.contract(kind, Family.EVENT) is None] == []
