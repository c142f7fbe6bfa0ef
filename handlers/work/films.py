"""The films of work: where a worker gets them."""

from collections.abc import Mapping, Sequence

from handlers.effects import Context
from storage.jobs.projects import Owned
from storage.unit_of_work import UnitOfWork


def films_for_work(wanted: Sequence[Owned], uow: UnitOfWork, context: Context) -> Mapping[Owned, str]:
    """By (URL, owner): the URL that a worker is given.

    A signed URL of our own may have ended since it was given: the worker gets a new one, where the asset is the
    owner's. Another owner's that has ended stays so, and so does every URL that is not ours.
    """
    assets = {pair: context.links.asset_of(pair[0]) for pair in wanted}
    found = uow.assets.by_ids(sorted({asset_id for asset_id in assets.values() if asset_id is not None}))
    films: dict[Owned, str] = {}
    for pair, asset_id in assets.items():
        url, owner = pair
        asset = None if asset_id is None else found.get(asset_id)
        is_owners = asset is not None and asset.owner == owner
        films[pair] = context.links.renewed(url, context.now) if is_owners else url
    return films
