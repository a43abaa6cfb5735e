"""Plain pages for people: an issue or a pull request with its conversation and diff."""

import html

from tests.doubles.github import repository as git
from tests.doubles.github.state import Issue, Repo, World, stamp

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "pre{background:#f6f8fa;padding:1rem;overflow:auto;white-space:pre-wrap}"
    "article{border:1px solid #d0d7de;border-radius:6px;margin:1rem 0;padding:0 1rem}"
    ".meta{color:#57606a}.label{border:1px solid;border-radius:1em;padding:0 .6em}"
)


def conversation(world: World, repo: Repo, item: Issue) -> str:
    """The page of an issue or pull request; everything that people wrote is escaped."""
    title = f"{item.title} · #{item.number} · {repo.full_name}"
    labels = " ".join(f'<span class="label">{html.escape(t.name)}</span>' for t in item.labels)
    state = "merged" if item.pull and item.pull.merged_at else item.state
    if item.pull and item.pull.draft:
        state += ", draft"
    parts = [
        f"<h1>{html.escape(item.title)} <span class=meta>#{item.number}</span></h1>",
        f'<p class="meta">{html.escape(repo.full_name)} · {state} {labels}</p>',
        _said(item.user.login, stamp(item.created_at), item.body or ""),
        *(_said(c.user.login, stamp(c.created_at), c.body) for c in item.comments),
    ]
    if item.pull:
        parts += [_said(r.user.login, r.state, r.body) for r in item.pull.reviews]
        for said in item.pull.review_comments:
            parts.append(_said(said.user.login, f"on {said.path}:{said.line}", said.body))
        span = f"{item.pull.base_ref} ← {item.pull.head_ref}"
        diff = git.diff(repo.git, item.pull.base_sha, item.pull.head_sha)
        parts.append(f"<h2>Changes</h2><p class=meta>{html.escape(span)}</p>")
        parts.append(f"<pre>{html.escape(diff)}</pre>")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>"
    )


def _said(who: str, when: str, text: str) -> str:
    return (
        f'<article><p class="meta"><b>{html.escape(who)}</b> · {html.escape(when)}</p>'
        f"<pre>{html.escape(text)}</pre></article>"
    )
