"""``headgate check-config``: what is in effect, or what is wrong."""

from collections.abc import Iterator, Mapping

from daemon.cli.shared import Config, Json, print_json, settings_or_fail
from daemon.terminal import escaped


def check_config(config: Config = None, as_json: Json = False) -> None:
    """Show the effective settings, secrets masked; each fault is one line and exit code 1."""
    import json

    settings = settings_or_fail(config, as_json=as_json)
    from daemon.settings.faults import dotted

    if as_json:
        print_json(settings.masked())
        return
    for path, value in _flat(settings.masked()):
        print(f"{escaped(dotted(path))} = {json.dumps(value)}")


def _flat(table: Mapping[str, object], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, value in table.items():
        path = (*above, name)
        if isinstance(value, Mapping):
            yield from _flat(value, path)
        else:
            yield path, value
