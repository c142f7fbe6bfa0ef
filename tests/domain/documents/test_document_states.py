"""The lives of tasks, assets and exports: what is no row of a table does not happen, and the pages show the tables."""

import re
from itertools import product
from pathlib import Path

import pytest
from msgspec.structs import replace

from contracts.values.states import AssetState, ExportState, TaskState
from domain.assets import assets
from domain.documents import exports
from domain.documents.exports import Export, ExportDecision, ExportFormat, Written
from domain.state_diagram import mermaid
from domain.work import tasks
from domain.work.work import By

PAGE = Path(__file__).parents[3] / "docs" / "documents.md"
BY = By("system", 1_000_000)
EXPORT = Export("e", "j", "ada", ExportFormat.MD, {}, "i", ExportState.REQUESTED, 1, {}, "t", 0, 0)
ACTS = {
    exports.ExportSignal.STARTED: lambda export: exports.start(export, max_attempts=3, by=BY),
    exports.ExportSignal.SUCCEEDED: lambda export: exports.succeed(export, Written("o", 1, "s"), {}, BY),
    exports.ExportSignal.FAILED: lambda export: exports.fail(export, exports.BROKEN, BY),
    exports.ExportSignal.INTERRUPTED: lambda export: exports.interrupt(export, BY),
    exports.ExportSignal.ASKED_AGAIN: lambda export: exports.request_again(export, BY),
}


def test_the_diagrams_in_the_page_are_the_tables() -> None:
    """Regenerate them with :func:`domain.state_diagram.mermaid`."""
    shown = re.findall(r"^```mermaid\n(.*?)\n```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert shown == [
        mermaid(TaskState.REQUESTED, tasks.TRANSITIONS),
        mermaid(AssetState.PENDING, assets.TRANSITIONS),
        mermaid(ExportState.REQUESTED, exports.TRANSITIONS),
    ]


@pytest.mark.parametrize(("state", "signal"), list(product(ExportState, exports.ExportSignal)))
def test_every_move_of_an_export_is_a_row_of_the_table(state: ExportState, signal: exports.ExportSignal) -> None:
    export = replace(EXPORT, status=state)
    decision: ExportDecision = ACTS[signal](export)
    target = exports.TRANSITIONS.get((state, signal))
    if target is None:
        assert decision == ExportDecision(export, changed=False)
    else:
        assert (decision.export.status, decision.export.version, decision.changed) == (target, 2, True)
