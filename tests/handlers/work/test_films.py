"""A signed URL of ours is renewed for its asset's owner and for nobody else."""

from msgspec.structs import replace

from contracts.values.states import AssetState
from contracts.values.times import MICROS_PER_SECOND
from domain.assets.assets import Asset, Origin
from domain.assets.signed_urls import Links
from handlers.work.films import films_for_work
from storage.engine.database import Database
from tests.handlers.deciding import context

HOUR = 3_600 * MICROS_PER_SECOND
LINKS = Links("http://127.0.0.1:8080", (b"s" * 32,))


async def test_only_the_owners_own_film_is_signed_anew(database: Database) -> None:
    film = Asset(
        "film", "ada", None, AssetState.READY, Origin.UPLOAD, "a.mov", "video/quicktime", 3, "0" * 64, "o", 1, 1
    )
    await database.write(lambda uow: uow.assets.upsert([film]))
    old = LINKS.download("/assets/film", 0).url
    elsewhere = "https://example.org/film.mov"
    now = replace(context(), now=10 * HOUR, links=LINKS)

    films = await database.read(lambda uow: films_for_work([(old, "ada"), (old, "bob"), (elsewhere, "ada")], uow, now))

    renewed = films[old, "ada"]
    assert LINKS.asset_of(renewed) == "film"
    assert renewed != old
    assert films[old, "bob"] == old
    assert films[elsewhere, "ada"] == elsewhere
    assert LINKS.asset_of("http://127.0.0.1:8080/assets/film?expires=1&signature=x") is None
