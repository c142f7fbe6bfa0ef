"""The wheel's build hook: a wheel contains the console's page, built from its source."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConsoleHook(BuildHookInterface[Any]):
    """Builds the page where its sources changed. Without npm the wheel is built all the same, with a warning."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        if version == "editable":
            return  # `make console` builds it in place
        script = _script(Path(self.root) / "daemon" / "http" / "console_build.py")
        if script.main(["--if-changed"]) != 0:
            self.app.display_warning("the wheel is without the console's page")


def _script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("console_build", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
