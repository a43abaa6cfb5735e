"""Files that people upload to issues, and how their addresses are signed.

An upload to a private repository is not served by the address in the text, whatever token is sent:
only browsers that are signed in get it. For who may read the repository, the rendered text of the
API (`body_html`, by the media types `full` and `html`) has a signed address instead, which is good
for five minutes. As anthropics/claude-code-action reads them (`src/github/utils/
image-downloader.ts`): `/OWNER-ID/ASSET-ID-GUID.SUFFIX?jwt=…`. On github.com that is another host;
here, as on an Enterprise Server, it is the same one.
"""

import html
import re
import secrets
from datetime import timedelta

from starlette.responses import PlainTextResponse, RedirectResponse, Response

from tests.doubles.github.state import Asset, Repo, World

GOOD_FOR = timedelta(minutes=5)
_GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
UPLOAD = re.compile(rf"/user-attachments/assets/({_GUID})", re.IGNORECASE)
SIGNED = re.compile(rf"/private-user-images/\d+/\d+-({_GUID})\.\w+", re.IGNORECASE)
STORED = re.compile(rf"/_stored/({_GUID})", re.IGNORECASE)
_MARKDOWN = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
_ELEMENT = re.compile(r"""<img\b[^>]*?\bsrc=["']([^"']+)["'][^>]*>""", re.IGNORECASE)


def is_rendered(accept: str) -> bool:
    """Whether a request asks for the text as HTML."""
    return "full+json" in accept or "html+json" in accept


def rendered(world: World, repo: Repo, text: str) -> str:
    """A text's HTML: its images' addresses as the reader of the repository gets them."""
    parts, end = [], 0
    found = [(m, m[2], m[1]) for m in _MARKDOWN.finditer(text)]
    found += [(m, m[1], "") for m in _ELEMENT.finditer(text)]
    for match, url, said in sorted(found, key=lambda each: each[0].start()):
        parts.append(html.escape(text[end : match.start()]))
        source = html.escape(_address(world, repo, url))
        parts.append(f'<a href="{source}"><img src="{source}" alt="{html.escape(said)}"></a>')
        end = match.end()
    return f'<p dir="auto">{"".join(parts)}{html.escape(text[end:])}</p>'


def _address(world: World, repo: Repo, url: str) -> str:
    match = UPLOAD.fullmatch(url.removeprefix(world.urls.web))
    asset = world.assets.get(match[1].lower()) if match else None
    if asset is None or asset.repo_id != repo.id:  # of another repository: as it stands
        return url
    jwt = f"{secrets.token_urlsafe(24)}.{secrets.token_urlsafe(24)}"
    world.signed[jwt] = asset.guid, world.now() + GOOD_FOR
    name = f"{asset.id}-{asset.guid}.{asset.suffix}"
    return f"{world.urls.web}/private-user-images/{asset.owner_id}/{name}?jwt={jwt}"


def serve(world: World, path: str, query: dict[str, str], has_token: bool) -> Response | None:
    """The answer to a browser's request; None where it is for no upload."""
    if match := SIGNED.fullmatch(path):
        guid, ends = world.signed.get(query.get("jwt", ""), ("", world.now()))
        if guid != match[1].lower() or ends <= world.now() or has_token:
            return PlainTextResponse("Not Found", 404)
        return _file(world.assets[guid])
    if match := STORED.fullmatch(path):
        known = world.assets.get(match[1].lower())
        # Storage takes either its own signature or a token, and a token of GitHub's is none.
        if known is None or has_token or "X-Amz-Signature" not in query:
            return PlainTextResponse("InvalidArgument", 400)
        return _file(known)
    if match := UPLOAD.fullmatch(path):
        known = world.assets.get(match[1].lower())
        repo = next((r for r in world.repos.values() if known and r.id == known.repo_id), None)
        if known is None or repo is None or repo.private:
            return PlainTextResponse("Not Found", 404)
        where = f"{world.urls.web}/_stored/{known.guid}?X-Amz-Signature={secrets.token_hex(32)}"
        return RedirectResponse(where, 302)
    return None


def _file(asset: Asset) -> Response:
    return Response(asset.data, 200, media_type=asset.content_type)
