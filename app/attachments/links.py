"""What an issue's texts link to: CI jobs, attached text files, images."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

MOST_LINKS = 5
"""Of each kind."""
SUFFIXES = ("log", "txt", "out", "err", "json", "xml", "trace")
IMAGE_SUFFIXES = ("png", "jpg", "jpeg", "gif", "webp")
"""SVG is none of them: it is a program."""
LONGEST_NAME = 80
IMAGE_HOST = "private-user-images.githubusercontent.com"
"""Where github.com's signed addresses of uploaded images lead to.

As anthropics/claude-code-action, `src/github/utils/image-downloader.ts`, reads them:
`/OWNER-ID/ASSET-ID-GUID.SUFFIX?jwt=…`, in the `body_html` of GitHub's REST answers.
"""
_GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True, slots=True)
class ImageLink:
    """An image that a text links to."""

    url: str
    name: str
    """Its description, or the end of its address. Untrusted."""
    guid: str = ""
    """Of an uploaded one: what its signed address holds, too."""
    path: str = ""
    """Of one in the repository: its path there."""
    ref: str = ""
    """And the branch or commit that the link names."""

    @property
    def key(self) -> str:
        """What is the same in all links to the image."""
        return self.guid.lower() or self.url


@dataclass(frozen=True, slots=True)
class Links:
    """What an issue's texts link to, each once, in order."""

    checks: tuple[int, ...] = ()
    """Jobs of the repository's own CI; a job's number is its check run's."""
    files: tuple[str, ...] = ()
    """Addresses of attached files."""
    images: tuple[ImageLink, ...] = ()


def links(
    texts: Iterable[str],
    web_url: str,
    repository: str,
    *,
    known: Collection[str] = (),
    most: int | None = MOST_LINKS,
) -> Links:
    """The CI jobs, attachments and images that texts link to, `most` of each; None: all.

    Other repositories' jobs and files are left alone, and images whose keys are `known`.
    """
    web, repo = re.escape(web_url.rstrip("/")), re.escape(repository)
    job = re.compile(rf"{web}/{repo}/actions/runs/\d{{1,20}}/job/(\d{{1,18}})", re.IGNORECASE)
    suffix = "|".join(SUFFIXES)
    file = re.compile(
        rf"{web}/(?:user-attachments|{repo})/files/\d{{1,20}}/[\w.%-]{{1,200}}\.(?:{suffix})\b",
        re.IGNORECASE,
    )
    image = _image_pattern(web, repo)
    checks: dict[int, None] = {}
    files: dict[str, None] = {}
    images: dict[str, ImageLink] = {}
    for text in texts:
        checks |= dict.fromkeys(int(number) for number in job.findall(text))
        files |= dict.fromkeys(file.findall(text))
        for match in image.finditer(text):
            link = _image(match, text)
            if link.key not in known:
                images.setdefault(link.key, link)
    return Links(tuple(checks)[:most], tuple(files)[:most], tuple(images.values())[:most])


def _image_pattern(web: str, repo: str) -> re.Pattern[str]:
    suffix = "|".join(IMAGE_SUFFIXES)
    # The second form of uploads is that of 2023; the third, on a host of its own, is older.
    return re.compile(
        rf"(?P<url>{web}/user-attachments/assets/(?P<asset>{_GUID})"
        rf"|{web}/{repo}/assets/\d{{1,20}}/(?P<old>{_GUID})"
        rf"|https://user-images\.githubusercontent\.com/\d{{1,20}}/[\w.-]{{1,200}}\.(?:{suffix})"
        rf"|https://{re.escape(IMAGE_HOST)}/\d{{1,20}}/\d{{1,20}}-(?P<signed>{_GUID})"
        r"\.\w{1,5}\?jwt=[\w.-]{1,2000}"
        rf"|(?:{web}/{repo}/(?:blob|raw)|https://raw\.githubusercontent\.com/{repo})"
        rf"/(?:refs/heads/)?(?P<ref>[\w.-]{{1,100}})/(?P<path>[\w.%/+@-]{{1,300}}\.(?:{suffix})))"
        r"(?![\w/-])",
        re.IGNORECASE,
    )


_DESCRIPTION = re.compile(r"!\[([^\]\n]{0,300})\]\(\s*<?$")
_ATTRIBUTE = re.compile(r"""<img\b[^>\n]{0,500}?\balt=["']([^"'\n]{0,300})["']""", re.IGNORECASE)


def _image(match: re.Match[str], text: str) -> ImageLink:
    url = match["url"]
    before = text[max(0, match.start() - 600) : match.start()]
    described = _DESCRIPTION.search(before) or _ATTRIBUTE.search(before.rpartition("\n")[2])
    said = described[1] if described else unquote(urlsplit(url).path.rpartition("/")[2])
    name = "".join(c for c in " ".join(said.split()) if c.isprintable())[:LONGEST_NAME]
    return ImageLink(
        url=url,
        name=name or "image",
        guid=match["asset"] or match["old"] or match["signed"] or "",
        path=unquote(match["path"] or ""),
        ref=match["ref"] or "",
    )


def signed_address(link: ImageLink, rendered: Sequence[str], web_url: str) -> str:
    """Where an uploaded image can be fetched without a credential.

    `rendered`: addresses of images in the texts as GitHub renders them; for who may read a private
    repository they are signed, and good for some minutes. The GUID has to be that of the address's
    own file name, and the host GitHub's.
    """
    own = urlsplit(web_url).netloc.lower()
    for address in rendered:
        try:
            parts = urlsplit(address)
        except ValueError:
            continue
        name = parts.path.rpartition("/")[2].lower()
        if parts.netloc.lower() not in (IMAGE_HOST, own) or not parts.query:
            continue
        if re.fullmatch(rf"(?:\d+-)?{re.escape(link.guid.lower())}(?:\.\w{{1,5}})?", name):
            return address
    return link.url
