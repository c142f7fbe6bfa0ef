"""The object store: chunk by chunk, as other clients see it, and nothing left of what was cut short."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from nats.aio.client import Client

from adapters.errors import ObjectStoreError
from adapters.nats.object_store import ObjectStore, OtherBytesError

_numbers = itertools.count(1)
BODY = os.urandom(1_300_000)
LATER = 2**62


async def parts(body: bytes = BODY, size: int = 70_000) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest_asyncio.fixture
async def bucket(nc: Client) -> str:
    name = f"STORE{next(_numbers)}_ASSETS"  # other tests of this server name theirs T1, T2, …
    await nc.jetstream().create_object_store(name)
    return name


async def messages(nc: Client, bucket: str) -> int:
    return int((await nc.jetstream().stream_info(f"OBJ_{bucket}")).state.messages)


async def whole(store: ObjectStore, name: str) -> bytes:
    stored = await store.info(name)
    assert stored is not None
    return b"".join([chunk async for chunk in store.read(stored)])


async def test_what_is_written_is_read_here_and_by_other_clients(nc: Client, bucket: str) -> None:
    store, others = ObjectStore(nc, bucket), await nc.jetstream().object_store(bucket)
    stored = await store.put("a/ü b.png", parts())
    assert (stored.size, await whole(store, "a/ü b.png")) == (len(BODY), BODY)
    assert (await others.get("a/ü b.png")).data == BODY
    await others.put("theirs", BODY[:500_000])
    assert await whole(store, "theirs") == BODY[:500_000]
    assert await store.info("nothing") is None
    assert {each.name for each in await store.names("a/")} == {"a/ü b.png"}


async def test_an_object_of_the_same_name_is_replaced_and_a_removed_one_leaves_nothing(nc: Client, bucket: str) -> None:
    store = ObjectStore(nc, bucket)
    await store.put("one", parts())
    before = await messages(nc, bucket)
    await store.put("one", parts(BODY[::-1]))
    assert (await messages(nc, bucket), await whole(store, "one")) == (before, BODY[::-1])
    assert await store.remove("one")
    assert not await store.remove("one")
    assert await messages(nc, bucket) == 0


async def test_of_other_bytes_than_were_said_nothing_is_kept(nc: Client, bucket: str) -> None:
    with pytest.raises(OtherBytesError):
        await ObjectStore(nc, bucket).put("one", parts(), sha256="0" * 64)
    assert await messages(nc, bucket) == 0


async def test_of_a_write_that_breaks_off_nothing_is_kept(nc: Client, bucket: str) -> None:
    store = ObjectStore(nc, bucket)

    async def broken() -> AsyncIterator[bytes]:
        yield BODY
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.put("one", broken())

    async def hanging() -> AsyncIterator[bytes]:
        yield BODY
        await asyncio.Event().wait()

    writing = asyncio.create_task(store.put("one", hanging()))
    while not await messages(nc, bucket):  # noqa: ASYNC110 - the fact is on the server
        await asyncio.sleep(0.01)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await messages(nc, bucket) == 0
    assert await whole_after(store) == BODY


async def whole_after(store: ObjectStore) -> bytes:
    """The slots that a broken write held are free again."""
    for number in range(8):
        await store.put(f"after-{number}", parts())
    return await whole(store, "after-7")


async def test_chunks_without_an_object_are_removed_once_they_are_old(nc: Client, bucket: str) -> None:
    store = ObjectStore(nc, bucket)
    await store.put("one", parts())
    before = await messages(nc, bucket)
    await nc.jetstream().publish(f"$O.{bucket}.C.torn", b"left behind")
    assert await store.remove_torn(before=0) == 0
    assert await store.remove_torn(before=LATER) == 1
    assert (await messages(nc, bucket), await whole(store, "one")) == (before, BODY)


async def test_a_store_that_is_full_or_absent_says_so(nc: Client, bucket: str) -> None:
    js = nc.jetstream()
    config = (await js.stream_info(f"OBJ_{bucket}")).config
    config.max_bytes = 600_000
    await js.update_stream(config)
    with pytest.raises(ObjectStoreError, match="maximum bytes"):
        await ObjectStore(nc, bucket).put("one", parts())
    assert await messages(nc, bucket) == 0
    with pytest.raises(ObjectStoreError):
        await ObjectStore(nc, f"{bucket}_ABSENT").put("one", parts())


async def test_chunks_on_the_wire_do_not_outlive_a_write_that_was_cut_short(nc: Client, bucket: str) -> None:
    """They are answered before what was written is removed: else they would arrive after that, and stay."""
    store = ObjectStore(nc, bucket)

    async def broken() -> AsyncIterator[bytes]:
        yield BODY
        raise ConnectionResetError

    for _ in range(40):
        with pytest.raises(ConnectionResetError):
            await store.put("one", broken())
    await nc.flush()
    assert await messages(nc, bucket) == 0
