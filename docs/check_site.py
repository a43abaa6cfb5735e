"""Whether a built site asks no other host for anything: `check_site.py FOLDER`.

Links that a reader follows may lead anywhere; what a browser fetches by itself must be in the site.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

_ADDRESS = re.compile(r"^(?:https?:)?//")
_IN_STYLE = re.compile(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^'\")\s]+)")
_FETCHED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
_NOT_FETCHED = {"canonical", "prev", "next", "alternate", "license", "author"}


class _Fetches(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        words = dict(attrs)
        if tag == "link" and (words.get("rel") or "") in _NOT_FETCHED:
            return
        values = [words.get(name) or "" for name in _FETCHED.get(tag, ())]
        self.found += [value for value in values if _ADDRESS.match(value.strip())]


def foreign(site: Path) -> list[str]:
    """What pages and styles fetch from other hosts, each as `file: address`."""
    found = []
    for path in sorted(site.rglob("*")):
        if path.suffix == ".html":
            parser = _Fetches()
            parser.feed(path.read_text("utf-8"))
            found += [f"{path.relative_to(site)}: {address}" for address in parser.found]
        elif path.suffix == ".css":
            addresses = _IN_STYLE.findall(path.read_text("utf-8"))
            found += [f"{path.relative_to(site)}: {address}" for address in addresses]
    return found


def main() -> None:
    """Look at the folder that is named."""
    site = Path(sys.argv[1])
    if not (site / "index.html").is_file():
        sys.exit(f"{site} holds no site; `make docs` makes it")
    if found := foreign(site):
        sys.exit("the site asks other hosts:\n" + "\n".join(found))
    print(f"{site}/index.html and its pages ask no other host for anything")


if __name__ == "__main__":
    main()
