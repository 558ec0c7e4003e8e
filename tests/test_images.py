"""Pictures: what lies on the disk opens as upright RGB or is refused by name, fast and in little memory."""

import io
import os
import random
import resource
import struct
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from morerl.errors import ImageError
from morerl.images import open_image, resolve

RED, BLUE = (250, 5, 5), (5, 5, 250)


def halves(width=60, height=40, left=RED, right=BLUE, mode="RGB"):
    image = Image.new(mode, (width, height), left)
    image.paste(right, (width // 2, 0, width, height))
    return image


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(width, height, depth, colour, rows, extra=b""):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root/sub").mkdir(parents=True)
    (tmp_path / "outside.png").write_bytes(encoded(halves(), "PNG"))
    (tmp_path / "root/good.png").write_bytes(encoded(halves(), "PNG"))
    return tmp_path / "root"


@pytest.fixture
def opened(root):
    def open_(data):
        (root / "x.img").write_bytes(data)
        return open_image(root, "x.img")

    return open_


@pytest.fixture
def reason(opened):
    def refused(data):
        with pytest.raises(ImageError) as error:
            opened(data)
        assert "x.img" in str(error.value)
        return error.value.reason

    return refused


# --- where a picture may lie


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.png", "missing"),
        ("sub", "missing"),
        ("good.png/x", "missing"),
        ("../outside.png", "outside_root"),
        ("sub/../../outside.png", "outside_root"),
        ("/etc/passwd", "outside_root"),
        ("link.png", "outside_root"),
        ("up/outside.png", "outside_root"),
        ("", "outside_root"),
        (".", "outside_root"),
        ("a\0.png", "outside_root"),
        ("http://host/a.png", "url"),
        ("file:///etc/passwd", "url"),
        ("data:image/png;base64,AAAA", "url"),
        ("a" * 300, "unreachable"),
        ("circle.png", "unreachable"),
    ],
)
def test_only_files_under_the_root_are_opened(root, name, reason):
    os.symlink("../outside.png", root / "link.png")
    os.symlink("..", root / "up")
    os.symlink("circle.png", root / "circle.png")
    with pytest.raises(ImageError) as error:
        open_image(root, name)
    assert error.value.reason == reason
    assert len(str(error.value)) < 600


def test_inside_the_root_folders_dots_and_links_are_fine(root):
    os.symlink("good.png", root / "same.png")
    for name in ("good.png", "sub/../good.png", "same.png", str(root / "good.png")):
        assert resolve(root, name) == root / "good.png"


def test_a_file_too_large_is_not_read(root):
    with (root / "large.png").open("wb") as file:
        file.truncate(65 * 2**20)  # sparse
    with pytest.raises(ImageError) as error:
        open_image(root, "large.png")
    assert error.value.reason == "too_many_bytes"


# --- what a picture may be


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_content_counts_not_the_suffix_and_a_cut_file_is_refused(opened, reason, kind):
    image = Image.frombytes("RGB", (64, 64), random.Random(0).randbytes(64 * 64 * 3))
    data = encoded(image, kind)
    assert opened(data).size == (64, 64)
    assert {reason(data[: len(data) * part // 10]) for part in (3, 5, 9)} <= {"truncated", "not_an_image"}
    assert reason(data[:10]) == "not_an_image"


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "PPM"])
def test_other_formats_are_refused(reason, kind):
    assert reason(encoded(halves(), kind)) == "not_an_image"


@pytest.mark.parametrize("data", [b"", b"\0" * 99, b"<svg/>", png(0, 5, 8, 2, b"")])
def test_no_picture_at_all_is_refused(reason, data):
    assert reason(data) == "not_an_image"


def test_moving_pictures_are_refused_but_a_camera_file_with_a_second_view_is_a_still(opened, reason):
    more = {"save_all": True, "append_images": [halves(left=BLUE)]}
    assert reason(encoded(halves(), "GIF", **more)) == "not_an_image"
    assert [reason(encoded(halves(), kind, **more)) for kind in ("WEBP", "PNG")] == ["animated", "animated"]
    assert opened(encoded(halves(), "MPO", **more)).size == (60, 40)


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (10_000, 9_000)])
def test_a_header_that_claims_too_many_pixels_costs_nothing(reason, width, height):
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert reason(png(width, height, 8, 2, b"")) == "too_many_pixels"
    assert time.perf_counter() - start < 0.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_a_text_chunk_that_unpacks_to_much_is_refused(reason):
    bomb = b"k\0\0" + zlib.compress(b"a" * 20_000_000)
    chunk = struct.pack(">I", len(bomb)) + b"zTXt" + bomb + struct.pack(">I", zlib.crc32(b"zTXt" + bomb))
    assert reason(png(2, 2, 8, 0, b"\0ab" * 2, chunk)) == "not_an_image"


def test_a_picture_that_is_a_line_is_refused(opened, reason):
    assert reason(encoded(halves(501, 10), "PNG")) == "too_thin"
    assert opened(encoded(halves(500, 10), "PNG")).size == (500, 10)


def test_cmyk_comes_out_in_its_colours(opened):
    image = opened(encoded(halves(left=(0, 255, 255, 0), right=(255, 255, 0, 0), mode="CMYK"), "JPEG"))
    assert image.mode == "RGB"
    assert image.getpixel((5, 5))[0] > 200 > 50 > image.getpixel((5, 5))[2]
    assert image.getpixel((55, 5))[2] > 200 > 50 > image.getpixel((55, 5))[0]


def test_sixteen_bit_grey_is_scaled_not_clipped(opened):
    rows = b"\0" + struct.pack(">4H", 0, 257 * 100, 257 * 200, 65535)
    image = opened(png(4, 1, 16, 0, rows))
    assert [image.getpixel((x, 0)) for x in range(4)] == [(v, v, v) for v in (0, 100, 200, 255)]


def test_transparency_becomes_white(opened):
    palette = Image.new("P", (2, 1))
    palette.putpalette([250, 0, 0, 0, 250, 0])
    palette.putpixel((1, 0), 1)
    image = opened(encoded(palette, "PNG", transparency=1))
    assert [image.getpixel((x, 0)) for x in (0, 1)] == [(250, 0, 0), (255, 255, 255)]
    for mode, clear in (("RGBA", (0, 0, 0, 0)), ("LA", (0, 0))):
        assert opened(encoded(Image.new(mode, (2, 2), clear), "PNG")).getpixel((0, 0)) == (255, 255, 255)


def test_a_photo_is_turned_upright(opened):
    exif = Image.Exif()
    exif[0x112] = 6  # the camera was held sideways: turn clockwise
    image = opened(encoded(halves(), "JPEG", exif=exif))
    assert image.size == (40, 60)
    assert image.getpixel((20, 5))[0] > 150 and image.getpixel((20, 55))[2] > 150


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow tells of damaged EXIF
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "WEBP"]), st.randoms(use_true_random=False))
def test_damaged_bytes_give_a_picture_or_a_named_refusal(tmp_path_factory, kind, rng):
    exif = Image.Exif()
    exif[0x112], exif[0x10E] = 6, "text"
    data = bytearray(encoded(halves(16, 8), kind, exif=exif))
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(4, len(data))] = rng.randrange(256)
    folder = tmp_path_factory.getbasetemp()
    (folder / "fuzz").write_bytes(data)
    try:
        assert open_image(folder, "fuzz").mode == "RGB"
    except ImageError as error:
        assert error.reason


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_exif_that_is_rubbish_is_no_crash(root, kind):
    (root / "x").write_bytes(encoded(halves(), kind, exif=b"Exif\0\0rubbish rubbish"))
    try:
        assert open_image(root, "x").size == (60, 40)
    except ImageError as error:
        assert error.reason == "truncated"
