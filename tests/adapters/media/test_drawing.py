"""Annotations: the same bytes everywhere, and nothing that a picture says is believed."""

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from adapters.media.detection import dimensions
from adapters.media.drawing import NotAPictureError, OutsideError, TooManyPixelsError, annotate
from contracts.payloads.commands.anchors import AnnotationOp, ArrowOp, BlurOp, BoxOp, TextOp
from tests.support import files

BOX = BoxOp("box", 10, 10, 80, 40, "#d01818")
ARROW = ArrowOp("arrow", 150, 110, 95, 55, "#1f5fbf")
WORDS = TextOp("text", 20, 90, "Öffnen → ✓", 18, "#101010")
BLUR = BlurOp("blur", 100, 5, 50, 30, 6)

# Made once and looked at. Another digest on another machine, or with another Pillow, is a finding.
DIGESTS: dict[str, tuple[list[AnnotationOp], str]] = {
    "box": ([BOX], "4a214fc9641e4ecd7c3fe6f43b3faae7ff2fda449f538a785919fb56e0b71989"),
    "arrow": ([ARROW], "0d01456bc13b94cbe1ddc9b1a1d3df3c1f4ae3abc2a89c16dac508d1727b4595"),
    "text": ([WORDS], "0a27a5ea65efe00f52f153eb64836ac8246f71969df990c1fe7784dbd55370c0"),
    "blur": ([BLUR], "e6ce9028733e5cae4682624aa4a6dfc6d56017c8a3f6ebd938d3db557495fd8b"),
    "all": ([BOX, ARROW, WORDS, BLUR], "b95804b393a391d7362c8bca8e19857d42b0862275962d883cc12c32e09c02b4"),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A picture with edges, so that a blur shows."""
    picture = Image.new("RGB", (160, 120))
    squares = [200 if (x // 8 + y // 8) % 2 else 40 for y in range(120) for x in range(160)]
    picture.putdata([((at % 160 * 3) % 256, (at // 160 * 5) % 256, blue) for at, blue in enumerate(squares)])
    file = tmp_path / "source.png"
    picture.save(file, "PNG")
    return file


@pytest.mark.parametrize("name", DIGESTS)
def test_the_same_drawing_has_the_same_bytes_everywhere(name: str, source: Path, tmp_path: Path) -> None:
    ops, digest = DIGESTS[name]
    assert annotate(source, ops, tmp_path / "one.png") == (160, 120)
    annotate(source, ops, tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert hashlib.sha256((tmp_path / "one.png").read_bytes()).hexdigest() == digest


def test_the_source_stays_as_it_is_and_the_drawing_shows(source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    annotate(source, [BOX], tmp_path / "one.png")
    assert source.read_bytes() == before
    with Image.open(tmp_path / "one.png") as drawn:
        assert drawn.getpixel((10, 10)) == (0xD0, 0x18, 0x18)


@pytest.mark.parametrize(
    ("op", "field"),
    [
        (BoxOp("box", 100, 0, 61, 10, "#000000"), "width"),
        (BoxOp("box", 0, 119, 1, 2, "#000000"), "height"),
        (ArrowOp("arrow", 0, 0, 160, 0, "#000000"), "x2"),
        (TextOp("text", 0, 120, "x", 10, "#000000"), "y"),
        (BlurOp("blur", 2**40, 0, 1, 1, 1), "x"),
    ],
)
def test_nothing_is_drawn_outside_the_picture(op: AnnotationOp, field: str, source: Path, tmp_path: Path) -> None:
    with pytest.raises(OutsideError) as caught:
        annotate(source, [BOX, op], tmp_path / "one.png")
    assert (caught.value.index, caught.value.field) == (1, field)
    assert not (tmp_path / "one.png").exists()


def test_a_decompression_bomb_is_refused_before_a_pixel_is_read(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(files.bomb())
    with pytest.raises(TooManyPixelsError):
        annotate(tmp_path / "bomb.png", [BOX], tmp_path / "one.png")
    (tmp_path / "large.png").write_bytes(files.bomb(6_000, 5_000))
    with pytest.raises(TooManyPixelsError):
        annotate(tmp_path / "large.png", [BOX], tmp_path / "one.png")


def test_what_is_cut_off_or_no_picture_is_refused(tmp_path: Path) -> None:
    whole = files.jpg(400, 300)
    for name, body in {"cut.jpg": whole[: len(whole) // 2], "film.mp4": files.mp4(), "empty": b""}.items():
        (tmp_path / name).write_bytes(body)
        with pytest.raises(NotAPictureError):
            annotate(tmp_path / name, [BOX], tmp_path / "one.png")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_that_its_header_turns_is_measured_and_drawn_on_as_it_is_seen(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "turned"
    picture = Image.new("RGB", (30, 20))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(file, kind, exif=exif)
    assert dimensions(file) == (20, 30)
    assert annotate(file, [BoxOp("box", 10, 20, 10, 10, "#d01818")], tmp_path / "drawn.png") == (20, 30)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    "header", [b"Exif", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff", b"Exif\0\0MM\0*\xff\xff\xff\xff"]
)
def test_a_header_that_cannot_be_read_turns_nothing(kind: str, header: bytes, tmp_path: Path) -> None:
    file = tmp_path / "broken"
    Image.new("RGB", (30, 20)).save(file, kind, exif=header)
    assert dimensions(file) == (30, 20)
    assert annotate(file, [BoxOp("box", 0, 0, 30, 20, "#d01818")], tmp_path / "drawn.png") == (30, 20)
