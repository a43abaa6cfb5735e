"""Images that people attach: decoded apart, and written anew."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from app.attachments import images
from app.attachments.images import PROGRAM, ImageRefused, is_safe, make_safe


def made(form: str = "PNG", size: tuple[int, int] = (60, 40), color: Any = "red", **how: Any):
    out = io.BytesIO()
    mode = "RGBA" if isinstance(color, tuple) and len(color) == 4 else "RGB"
    Image.new(mode, size, color).save(out, form, **how)
    return out.getvalue()


def seen(data: bytes) -> Image.Image:
    """What was kept, decoded."""
    image = Image.open(io.BytesIO(make_safe(data).data))
    image.load()
    return image


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that says that it is large, and is."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * ((width // 8 + 1) * height), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP"])
def test_what_github_shows_is_kept_as_png(form: str):
    safe = make_safe(made(form))
    assert (safe.width, safe.height, safe.media_type) == (60, 40, "image/png")
    assert is_safe(safe.data)
    assert Image.open(io.BytesIO(safe.data)).getpixel((30, 20))[0] > 240


def test_nothing_but_pixels_is_kept():
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "secret-place", zip=True)
    info.add_itxt("XML:com.adobe.xmp", "secret-place")
    exif = Image.Exif()
    exif[0x010E], exif[0x8825] = "secret-place", {1: "N", 2: (52.0, 31.0, 0.0)}
    tagged = made(pnginfo=info, exif=exif.tobytes(), icc_profile=b"secret-place" * 20)
    photo = made("JPEG", exif=exif.tobytes(), comment=b"secret-place")
    for data in (tagged, photo):
        assert b"secret-place" in data or b"Exif" in data or b"eXIf" in data
        kept = make_safe(data).data
        assert b"secret-place" not in kept
        with Image.open(io.BytesIO(kept)) as image:
            assert not image.getexif()
            assert not {"icc_profile", "exif", "xmp", "comment", "Comment"} & set(image.info)


def test_a_photo_stands_as_it_was_taken():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    safe = make_safe(made("JPEG", (60, 40), exif=exif.tobytes()))
    assert (safe.width, safe.height) == (40, 60)


def test_a_polyglot_is_only_its_image():
    page = b"<html><script>alert(1)</script></html>PK\x03\x04evil.zip"
    kept = make_safe(made() + page).data
    assert b"script" not in kept
    assert b"PK\x03\x04" not in kept


def test_of_an_animation_there_is_the_first_frame():
    for form in ("GIF", "PNG", "WEBP"):
        more = [Image.new("RGB", (60, 40), "blue")] * 20
        data = made(form, save_all=True, append_images=more)
        assert getattr(seen(data), "n_frames", 1) == 1
        assert seen(data).getpixel((30, 20))[0] > 240


def test_what_is_transparent_is_white():
    assert seen(made(color=(0, 0, 0, 0))).getpixel((30, 20)) == (255, 255, 255)


def test_large_images_are_made_smaller_and_keep_their_proportions():
    safe = make_safe(made(size=(4000, 2000)))
    assert safe.width * safe.height <= 3_200_000
    assert safe.width / safe.height == pytest.approx(2, abs=0.01)
    tall = make_safe(made(size=(3, 30_000)))
    assert (tall.width, tall.height) == (1, 7000)


def test_what_png_would_make_long_is_jpeg():
    out = io.BytesIO()
    Image.frombytes("RGB", (1000, 800), os.urandom(2_400_000)).save(out, "PNG")
    safe = make_safe(out.getvalue())
    assert safe.media_type == "image/jpeg"
    assert len(safe.data) < images.MOST_BYTES


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "cannot be decoded"),
        (b"GIF89a", "cannot be decoded"),
        (made()[:-30], "cannot be decoded"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "cannot be decoded"),
        (b"<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY a 'b'>]><svg/>", "cannot be decoded"),
        (b"<html><img src=x></html>", "cannot be decoded"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot be decoded"),
        (b"%PDF-1.7", "cannot be decoded"),
        (made("TIFF"), "cannot be decoded"),
        (made("BMP"), "cannot be decoded"),
        (made("ICO"), "cannot be decoded"),
        (bomb(50_000, 50_000), "more than 30,000,000"),
        (bomb(6_000, 6_000), "more than 30,000,000"),
    ],
    ids=[
        *("empty", "head only", "torn", "svg", "xml", "html", "postscript", "pdf", "tiff", "bmp"),
        *("ico", "bomb", "large"),
    ],
)
def test_anything_else_is_refused(data: bytes, why: str):
    with pytest.raises(ImageRefused, match=why):
        make_safe(data)


def test_a_bomb_of_text_is_refused():
    info = PngImagePlugin.PngInfo()
    info.add_text("a", "x" * 50_000_000, zip=True)
    with pytest.raises(ImageRefused):
        make_safe(made(pnginfo=info))


@pytest.mark.parametrize(
    "program",
    [
        "import os; os.kill(os.getpid(), 11)",
        "import sys; sys.stdout.write('9 9\\n<script>')",
        "import sys; sys.stdout.buffer.write(b'9 9\\n\\x89PNG\\r\\n\\x1a\\n' + bytes(9_000_000))",
        "import time; time.sleep(60)",
    ],
    ids=["crash", "no image", "too long", "endless"],
)
def test_a_decoder_that_is_taken_over_gives_nothing(
    program: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "decoder.py"
    file.write_text(f"import sys; sys.stdin.buffer.read()\n{program}\n")
    monkeypatch.setattr(images, "PROGRAM", file)
    monkeypatch.setattr(images, "TIMEOUT_S", 2.0)
    with pytest.raises(ImageRefused):
        make_safe(made())


def test_the_decoder_has_no_secrets_and_few_rights(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATCHWRIGHT_MODEL_API_KEY", "secret")
    told: dict[str, Any] = {}
    run = subprocess.run

    def watched(*words: Any, **how: Any) -> Any:
        told.update(how)
        return run(*words, **how)

    monkeypatch.setattr(images.subprocess, "run", watched)
    make_safe(made())
    assert told["env"] == {}
    source = images.PROGRAM.read_text()
    assert "from app" not in source
    assert "from agent" not in source


def test_the_decoder_can_open_nothing_once_it_has_the_image() -> None:
    told = """
import socket
reencode.load()
reencode.bound()
for name, attempt in {
    "file": lambda: open("/etc/hostname"),
    "socket": socket.socket,
    "program": lambda: subprocess.run(["true"]),
}.items():
    try:
        attempt()
    except OSError as error:
        print(name, errno.errorcode[error.errno])
"""
    code = f"import errno, subprocess, sys\nsys.path.insert(0, {str(PROGRAM.parent)!r})\n"
    command = [sys.executable, "-Ic", f"{code}import reencode\n{told}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.split("\n")[:3] == ["file EMFILE", "socket EMFILE", "program EMFILE"]
