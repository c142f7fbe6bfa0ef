"""A trace of real requests, where it lies beside the repository (Azure LLM inference trace 2023, CC-BY 4.0)."""

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.command_line import Json

TRACE: Final = Path(__file__).parents[4] / "shared" / "data" / "azure_llm_2023_conv.csv.gz"


def payloads() -> Iterator[Json]:
    """The requests of the trace as ``session.usage`` 2.0; a session is a hundred requests."""
    with gzip.open(TRACE, "rt", newline="") as text:
        for number, row in enumerate(csv.DictReader(text)):
            day, clock = row["TIMESTAMP"].split(" ")
            yield {
                "session_id": f"conversation-{number // 100}",
                "agent": "conversation",
                "model": "gpt-4o",
                "at": f"{day}T{clock[:15]}Z",
                "status": "ok",
                "input_tokens": int(row["ContextTokens"]),
                "output_tokens": int(row["GeneratedTokens"]),
                "provenance": {
                    "tokens": {"source": "provider_reported", "confidence": "high"},
                    "runtime": {"source": "missing", "confidence": "unknown"},
                    "cost": {"source": "missing", "confidence": "unknown"},
                },
            }
