"""The one version number: of the package, the service, the metrics and AsyncAPI."""

from importlib.metadata import version
from typing import Final

VERSION: Final = version("headgate")
