"""What holds for all tests: how a run is spread over processes, and what these share."""

import gc
import os
import signal
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import pytest_asyncio

from tests.running.sharing import folder_of_run, shared

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

    from storage.engine.database import Database
    from tests.support.databases import PostgresServer

WORKERS_PER_CORE: Final = 4
"""The long tests wait for processes and clocks: so many at once keep a core busy."""

MOST_WORKERS: Final = 10
"""Each has the memory of a whole collection, 300 MB."""


def pytest_configure(config: pytest.Config) -> None:
    """Hear SIGINT also where the shell that began the run in the background has it ignored: what is ignored is
    inherited, and the daemons that tests start must get the signals that a terminal would give them.

    And let compiled modules be kept: where the environment forbids it (as in many images), each process that a test
    starts would compile five hundred modules anew, a third of the time until a daemon is ready.

    And begin the process that forks programs, once for all the processes of a run: it imports for longer than a
    program runs."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _let_examples_take_their_time()
    if not hasattr(config, "workerinput"):
        from tests.support.starts.programs import serve_forks

        serve_forks()


def _let_examples_take_their_time() -> None:
    """No generated example has a deadline, and making them may be slow: both say how busy the machine is. What else the
    profile says that is in effect stays."""
    from hypothesis import HealthCheck, settings

    before = settings.get_profile(settings.get_current_profile_name())
    suppressed = {*before.suppress_health_check, HealthCheck.too_slow}
    settings.register_profile("unhurried", before, deadline=None, suppress_health_check=suppressed)
    settings.load_profile("unhurried")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nothing that is collected is garbage: looking for some takes half of a worker's start. And it lives as long as
    the worker: the searches during the tests leave it out."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fresh", action="store_true", help="start each program as a user does, for all tests")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """How the programs of a test and of its fixtures are started (tests/support/starts/programs.py)."""
    from tests.support.starts.programs import Forks

    Forks.wanted = not (item.config.getoption("fresh") or item.get_closest_marker("fresh"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many workers ``-n auto`` means."""
    return max(2, min(MOST_WORKERS, round((os.cpu_count() or 1) * WORKERS_PER_CORE)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "LoadFileScheduling | None":
    """Files go to workers whole, so that what a module shares is made once; but of the longest files, whose tests share
    nothing, each test goes by itself."""
    if config.getoption("dist") != "loadfile":
        return None
    from tests.running.scheduling import LongFilesInParts

    return LongFilesInParts(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test that kills processes can meet a machine that is busy with something else: it is tried once more, and shown
    as RERUN, which is a finding to look into. All others have one try.

    In one process pure tests come first and what takes long comes last; workers begin with what takes long, so that
    none of them is left with it while the others have ended."""
    from tests.running.scheduling import weight

    reruns = config.pluginmanager.hasplugin("rerunfailures")  # -p no:rerunfailures: one try for all
    for item in items:
        if reruns and item.get_closest_marker("kills") is not None:
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=1))
    distributed = hasattr(config, "workerinput")
    items.sort(key=lambda item: weight(item.nodeid), reverse=distributed)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> "Iterator[PostgresServer]":
    """The server of this run of tests, whatever number of processes it has. Tests that stop it start one of their
    own."""
    from tests.support.databases import PostgresServer, end_postgres, make_postgres

    folder = folder_of_run(tmp_path_factory, worker_id)
    with shared(
        folder,
        "postgres",
        worker_id,
        make=lambda: str(make_postgres()),
        end=lambda made: end_postgres(Path(made)),
    ) as made:
        yield PostgresServer(Path(made), worker_id)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Path]:
    """A migrated file to copy from."""
    from tests.support import databases

    folder = folder_of_run(tmp_path_factory, worker_id)
    with shared(
        folder, "sqlite", worker_id, make=lambda: str(databases.sqlite_template(folder)), end=os.unlink
    ) as made:
        yield Path(made)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def dialect(request: pytest.FixtureRequest) -> str:
    """Each test that asks for it, for ``database`` or for ``database_url`` runs on SQLite and on PostgreSQL."""
    return str(request.param)


@pytest.fixture
def database_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database of the test's own."""
    from tests.support import databases

    if dialect == "sqlite":
        yield databases.sqlite_copy(request.getfixturevalue("sqlite_template"), tmp_path)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.migrated_database() as url:
        yield url


@pytest_asyncio.fixture
async def database(database_url: str) -> "AsyncIterator[Database]":
    from tests.support import databases

    async with databases.opened(database_url) as opened:
        yield opened
