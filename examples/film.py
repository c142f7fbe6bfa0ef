"""A film to upload: QuickTime, a frame a second, drawn by Pillow. Needs Pillow and nothing else.

python examples/film.py film.mov "Open the box." "Take the cable out." "Press the button."
"""

import io
import struct
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 640, 360
COLORS = ("#22304a", "#6b2d5c", "#1f5f4b", "#7a4a12")


def frame(text: str, number: int) -> bytes:
    """A JPEG of one scene."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), COLORS[number % len(COLORS)])
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((40, 120, WIDTH - 40, 240), 16, fill="white")
    draw.text((64, 165), text, fill="#111111", font=ImageFont.load_default(size=26))
    draw.text((64, 300), f"scene {number + 1}", fill="white", font=ImageFont.load_default(size=18))
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=90)
    return written.getvalue()


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def full(kind: bytes, *parts: bytes) -> bytes:
    return box(kind, bytes(4), *parts)


def film(scenes: list[str]) -> bytes:
    """Every player that knows Motion JPEG shows it, a scene a second."""
    frames = [frame(text, number) for number, text in enumerate(scenes)]
    head = box(b"ftyp", b"qt  ", struct.pack(">I", 0x200), b"qt  ")
    media = box(b"mdat", *frames)
    count, offset, offsets = len(frames), len(head) + 8, []
    for each in frames:
        offsets.append(offset)
        offset += len(each)
    entry = struct.pack(">6xHHHIIIHHIIIH", 1, 0, 0, 0, 0, 512, WIDTH, HEIGHT, 72 << 16, 72 << 16, 0, 1)
    sample = struct.pack(">I4s", len(entry) + 8 + 36, b"jpeg") + entry + bytes(32) + struct.pack(">Hh", 24, -1)
    table = box(
        b"stbl",
        full(b"stsd", struct.pack(">I", 1), sample),
        full(b"stts", struct.pack(">III", 1, count, 1)),
        full(b"stsc", struct.pack(">IIII", 1, 1, 1, 1)),
        full(b"stsz", struct.pack(f">II{count}I", 0, count, *map(len, frames))),
        full(b"stco", struct.pack(f">I{count}I", count, *offsets)),
    )
    matrix = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    data = box(b"dinf", full(b"dref", struct.pack(">I", 1), struct.pack(">I4sI", 12, b"alis", 1)))
    shown = full(b"vmhd", struct.pack(">4H", 64, 0, 0, 0))
    handler = full(b"hdlr", b"mhlr", b"vide", bytes(13))
    track = box(
        b"trak",
        box(b"tkhd", bytes([0, 0, 0, 7]), struct.pack(">IIIII8x4H", 0, 0, 1, 0, count, 0, 0, 0, 0), matrix,
            struct.pack(">II", WIDTH << 16, HEIGHT << 16)),
        box(b"mdia", full(b"mdhd", struct.pack(">IIIIHH", 0, 0, 1, count, 0, 0)), handler,
            box(b"minf", shown, data, table)),
    )  # fmt: skip
    times = struct.pack(">IIIIIH10x", 0, 0, 1, count, 1 << 16, 256)
    header = full(b"mvhd", times, matrix, bytes(24), struct.pack(">I", 2))
    return head + media + box(b"moov", header, track)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(film(sys.argv[2:] or ["Open the box.", "Take the cable out.", "Press the button."]))
