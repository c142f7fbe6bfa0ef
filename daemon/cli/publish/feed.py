"""Records for an event loop: files and pipes are read by a thread, a little ahead of what is worked on."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Final

from adapters.record_files import Layout, Portion, Source, read_records

_AHEAD: Final = 2


async def portions(sources: Sequence[Source], layout: Layout) -> AsyncIterator[Portion]:
    """The records of all sources, one source after another. Raises ``OSError`` where one cannot be read on.

    The thread is a daemon's: blocked in a read, it keeps nobody from ending.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Portion | OSError | None] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)

    def hand_over(item: Portion | OSError | None) -> None:
        room.acquire()
        loop.call_soon_threadsafe(queue.put_nowait, item)

    def read() -> None:
        try:
            for source in sources:
                for portion in read_records(source, layout):
                    hand_over(portion)
            hand_over(None)
        except OSError as error:
            hand_over(error)
        except RuntimeError:
            return  # the loop is closed: nobody wants to know any more

    threading.Thread(target=read, name="records", daemon=True).start()
    while (item := await queue.get()) is not None:
        room.release()
        if isinstance(item, OSError):
            raise item
        yield item
