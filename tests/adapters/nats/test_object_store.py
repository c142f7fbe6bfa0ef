"""Objects are fetched whole or not at all, and no wait for one is without an end."""

from pathlib import Path

import pytest
from nats.aio.client import Client

from adapters.errors import AdapterError
from adapters.nats import object_store
from adapters.nats.object_store import fetch_object, has_object
from adapters.nats.streams.provisioning import provision
from adapters.nats.streams.topology import Limits, topology
from contracts.subjects import Subjects


async def test_an_object_is_fetched_as_it_was_put(nc: Client, prefix: str, tmp_path: Path) -> None:
    subjects = Subjects(prefix)
    await provision(nc, topology(subjects, Limits()))
    content = bytes(range(256)) * 2_000
    await (await nc.jetstream().object_store(subjects.assets_bucket)).put("one", content)

    await fetch_object(nc, subjects.assets_bucket, "one", tmp_path / "one")

    assert (tmp_path / "one").read_bytes() == content
    assert await has_object(nc, subjects.assets_bucket, "one")


async def test_an_object_whose_chunks_are_gone_is_waited_for_no_longer_than_an_answer(
    nc: Client, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "_ANSWER_S", 0.3)
    subjects = Subjects(prefix)
    bucket = subjects.assets_bucket
    await provision(nc, topology(subjects, Limits()))
    put = await (await nc.jetstream().object_store(bucket)).put("one", bytes(300_000))
    await nc.jetstream().purge_stream(f"OBJ_{bucket}", subject=f"$O.{bucket}.C.{put.nuid}", keep=1)

    with pytest.raises(AdapterError, match="could not be read"):
        await fetch_object(nc, bucket, "one", tmp_path / "one")
