"""Upload a file and print what it became. With a job, its video is the file.

python examples/upload.py film.mov [JOB_ID]

It needs nats-py, and speaks to the daemon that `make run` has started in this folder, or to the server in NATS_URL.
"""
# ruff: noqa: T201 - an example prints

import asyncio
import hashlib
import json
import os
import sys
import urllib.request
from pathlib import Path

from ask import ask

TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
}


def put(url: str, body: bytes) -> None:
    """The URL itself is the right to upload: it needs no other credential."""
    request = urllib.request.Request(url, data=body, method="PUT")  # noqa: S310 - the daemon's own URL
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        answer.read()


async def main(url: str, name: str, body: bytes, job_id: str | None) -> None:
    announced = {"filename": name, "media_type": TYPES[Path(name).suffix.lower()], "size": len(body)}
    announced |= {"sha256": hashlib.sha256(body).hexdigest()} | ({"job_id": job_id} if job_id else {})
    begun = await ask(url, "hg.cmd.asset.begin-upload", announced)
    upload = dict(begun["result"])
    await asyncio.to_thread(put, upload["upload_url"], body)
    asset = await ask(url, "hg.cmd.asset.confirm-upload", {"upload_id": upload["upload_id"]})
    print(json.dumps(asset, indent=2))
    if job_id is not None:
        video = {"job_id": job_id, "video_uri": dict(asset["result"])["url"]}
        print(json.dumps(await ask(url, "hg.cmd.job.confirm-upload", video), indent=2))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: upload.py FILE [JOB_ID]")
    file = Path(sys.argv[1])
    local = os.environ.get("NATS_URL") or json.loads(Path("var/runtime.json").read_text())["nats_url"]
    asyncio.run(main(local, file.name, file.read_bytes(), sys.argv[2] if len(sys.argv) > 2 else None))
