"""Rounds of healing that nobody asked for."""

import pytest

from tests.end_to_end.conftest import SECRET, Pipeline, until


@pytest.fixture
def settings() -> str:
    return f"""
[callbacks]
secrets = ["{SECRET}"]
[self_heal]
interval_s = 1
threshold_s = 1
max_attempts = 2
"""


async def test_the_daemon_heals_by_itself_and_leaves_a_run_of_the_system(pipeline: Pipeline) -> None:
    await pipeline.send(
        "feed.item",
        {
            "item_id": "item-1",
            "source": "news",
            "title": "A title",
            "url": "https://example.org/1",
            "published_at": "2026-11-20T10:00:00Z",
        },
    )
    message, _ = await pipeline.take_work("item.analyse")
    await message.ack()

    message, work = await pipeline.take_work("item.analyse")

    assert work["attempt"] == 2
    await pipeline.becomes(
        "system", "SELECT principal FROM ops_runs WHERE operation = 'self-heal' AND status = 'succeeded'"
    )

    async def told() -> list[dict[str, object]]:
        """The line comes after the commit, and so after the work."""
        return [line for line in pipeline.daemon.events("self_heal") if line["items_found"]]

    found = await until(told)
    assert (found[0]["items_republished"], found[0]["errors"], found[0]["threshold_s"]) == (1, 0, 1)
    assert pipeline.one("SELECT count(*) FROM self_heal_rounds") == 1
