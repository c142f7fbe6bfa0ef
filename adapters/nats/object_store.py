"""Objects of an object store, as files."""

from pathlib import Path

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import BucketNotFoundError, Error, ObjectNotFoundError

from adapters.errors import AdapterError


async def has_object(nc: Client, bucket: str, name: str) -> bool:
    """Whether the bucket holds the object. Raises :class:`AdapterError` where nobody answers."""
    try:
        store = await nc.jetstream().object_store(bucket)
        await store.get_info(name)
    except (ObjectNotFoundError, BucketNotFoundError):
        return False
    except (Error, NatsError, ValueError) as error:
        raise AdapterError(f"{bucket}: the object could not be looked for: {error}") from error
    return True


async def fetch_object(nc: Client, bucket: str, name: str, file: Path) -> None:
    """Write the object to *file*, chunk by chunk; its digest is checked.

    Raises :class:`AdapterError` where it is gone, damaged or does not come, ``OSError`` where it cannot be written.
    """
    try:
        store = await nc.jetstream().object_store(bucket)
        with file.open("wb") as written:
            await store.get(name, writeinto=written)
    except (Error, NatsError, ValueError) as error:
        raise AdapterError(f"{bucket}: the object could not be fetched: {error}") from error
