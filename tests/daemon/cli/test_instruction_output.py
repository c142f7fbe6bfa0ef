"""``headgate ask hg.cmd.instruction.get``: a version, its difference and its history as a person reads them."""

from rich.console import Console

from contracts.errors import JsonObject
from daemon.cli.output.answers import render

RESULT: JsonObject = {
    "instruction_id": "i-1",
    "job_id": "j-1",
    "version": 2,
    "latest_version": 3,
    "blocks": [{"block_id": "b1", "type": "step", "text": "Open the [door]"}],
    "validation_status": "WARN",
    "issues": [{"code": "long_text", "message": "the text is long", "block_id": "b1"}],
    "created_by": "ada",
    "created_at": "2026-11-20T10:15:30.000000Z",
    "compared_to": 1,
    "difference": [
        {"block_id": "b1", "change": "changed", "before": "Open it", "after": "Open the [door]"},
        {"block_id": "b0", "change": "removed", "before": "Hello"},
    ],
    "history": [{"version": 1, "validation_status": "VALID", "created_by": "worker", "created_at": "then"}],
}


def test_a_version_reads_as_a_document_with_what_changed() -> None:
    console = Console(width=100, color_system=None, record=True)
    for piece in render("instruction.get", RESULT):
        console.print(piece)
    text = console.export_text()
    assert "version 2 of 3" in text
    assert "Open the [door]" in text
    assert "changed b1\n- Open it\n+ Open the [door]\nremoved b0\n- Hello" in text
    assert "long_text: the text is long b1" in text
    assert "worker" in text
