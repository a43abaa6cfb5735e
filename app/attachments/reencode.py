"""A process of its own that decodes an image and writes it anew: hostile bytes in, safe ones out.

Run by `app.attachments.images` as a file, with nothing in its environment; imports nothing of ours.
What comes out holds pixels and no metadata: it was painted onto an empty image. Animations become
their first frame, transparent pixels white. Reads the image from stdin. Writes `WIDTH HEIGHT` and a
line's end to stdout, then a PNG, or a JPEG where that is too long. Fails with a sentence on stderr.
"""

import io
import resource
import sys
import warnings

from PIL import Image, ImageFile, ImageOps

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
"""What GitHub shows of what it lets people upload, but for SVG, which is a program."""
MOST_PIXELS = 30_000_000
"""Of what is read: a screenshot of a 6K display has 20 million."""
SHOWN_PIXELS = 3_200_000
SHOWN_SIDE = 7_000
"""Of what is written. Kimi K2.5's encoder scales down what has more than 16,384 patches of 14 by 14
pixels, or 512 of them on a side (`in_patch_limit`, `patch_limit_on_one_side`)."""
MOST_PNG_BYTES = 1_500_000
JPEG_QUALITY = 88
ORIENTATION = 0x0112
"""Exif's tag of how a camera was held."""
MEMORY_BYTES = 1_500_000_000
CPU_S = 20


def bound() -> None:
    """Limit what this process may use, whatever a decoder does."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no file; pipes are none
    # No file, no socket, no pipe from now on; stdin, stdout and stderr stay open.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def load() -> None:
    """Load all that decoders import only when they are needed: later no file can be opened."""
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    for form in FORMATS:
        for mode in ("RGB", "P"):
            out, image = io.BytesIO(), Image.new("RGB", (8, 8), "red")
            if form in ("GIF", "PNG"):
                image.convert(mode).save(out, form, save_all=True, append_images=[image])
            else:
                image.save(out, form, exif=turned)
            reencode(out.getvalue())


def reencode(data: bytes) -> tuple[int, int, bytes]:
    """Width, height and bytes of an image made anew. Raises `ValueError` with a sentence."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > MOST_PIXELS:
                raise ValueError(f"it has {width} x {height} pixels, more than {MOST_PIXELS:,}")
            opened.draft("RGB", _fitting(width, height))  # JPEG: decodes no more than is needed
            turned = ImageOps.exif_transpose(opened)
            width, height = _fitting(*turned.size)
            with_alpha = turned.convert("RGBA").resize((width, height), Image.Resampling.LANCZOS)
    except ValueError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"it has more than {MOST_PIXELS:,} pixels") from None
    except MemoryError:
        raise ValueError("it takes too much memory to decode") from None
    except Exception as error:  # noqa: BLE001 - whatever a decoder raises about hostile bytes
        raise ValueError(f"it cannot be decoded ({type(error).__name__})") from None
    clean = Image.new("RGB", (width, height), "white")
    clean.paste(with_alpha, mask=with_alpha.getchannel("A"))
    written = _save(clean, "PNG")
    if len(written) > MOST_PNG_BYTES:
        written = _save(clean, "JPEG", quality=JPEG_QUALITY)
    return width, height, written


def _fitting(width: int, height: int) -> tuple[int, int]:
    """The size within the bounds, of the same proportions."""
    scale = min(1.0, (SHOWN_PIXELS / (width * height)) ** 0.5, SHOWN_SIDE / max(width, height))
    return max(1, int(width * scale)), max(1, int(height * scale))


def _save(image: Image.Image, form: str, **how: int) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **how)
    return out.getvalue()


def main() -> int:
    """Read, decode, write."""
    data = sys.stdin.buffer.read()
    load()
    bound()
    try:
        width, height, written = reencode(data)
    except ValueError as problem:
        sys.stderr.write(str(problem)[:300])
        return 1
    sys.stdout.buffer.write(b"%d %d\n" % (width, height) + written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
