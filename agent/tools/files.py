"""`view`, `edit`, `create` and `search`: the tree's files."""

from __future__ import annotations

import shlex

from pydantic import Field

from agent.text.control_tokens import restore
from agent.tools.text_files import TextFile, decode, replace_once
from agent.tools.tool import Arguments, Reply, ToolContext, refusal_reply
from sandbox.errors import FileMissing, FileRefused
from sandbox.protocol import WORKDIR

VIEW_DEFAULT = 400
VIEW_MOST = 2000
VIEW_CHARS = 60_000
"""Of one view; lines can be long, and a single result must never fill the context."""

SYNTAX_CHECKS = {
    ".py": "python3 -c 'import ast,sys; ast.parse(open(sys.argv[1],\"rb\").read(), sys.argv[1])'",
    ".json": "python3 -m json.tool --no-ensure-ascii",
    # Pythons before 3.11 cannot say.
    ".toml": "python3 -c 'import importlib.util as u,sys; "
    'u.find_spec("tomllib") and __import__("tomllib").load(open(sys.argv[1],"rb"))\'',
    ".js": "node --check",
    ".mjs": "node --check",
    ".cjs": "node --check",
    ".go": "gofmt -e -l",
    ".rb": "ruby -c",
    ".php": "php -l",
    ".sh": "bash -n",
}
"""How to ask, inside the sandbox, whether a file parses."""


class ViewArguments(Arguments):
    """What to look at."""

    path: str = Field(description="File or folder.")
    start: int = Field(1, ge=1, description="First line.")
    end: int = Field(0, ge=0, description="Last line; 0: as many as are shown at once.")


async def view(context: ToolContext, args: ViewArguments) -> Reply:
    """Numbered lines of a file, or a folder's entries."""
    try:
        data = await context.sandbox.read(args.path)
    except FileMissing:
        return refusal_reply(f"there is no {args.path}; use search or `bash ls` to find it")
    except FileRefused as problem:
        quoted = shlex.quote(args.path)
        listing = await context.sandbox.run(f"test -d {quoted} && ls -Ap -- {quoted}", timeout_s=20)
        return Reply(listing.text) if listing.ok else refusal_reply(str(problem))
    file = decode(data)
    if file is None:
        return Reply(f"{args.path} is binary, {len(data)} bytes; use bash to inspect it")
    return Reply(number_lines(args.path, file.text, args.start, args.end), cut=False)


def number_lines(path: str, text: str, start: int = 1, end: int = 0) -> str:
    """`PATH (N lines)` and the asked-for lines with their numbers."""
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    last = end or start + VIEW_DEFAULT - 1
    last = min(last, start + VIEW_MOST - 1, len(lines))
    shown = [f"{path} ({len(lines)} lines)"]
    left = VIEW_CHARS
    for number in range(start, last + 1):
        shown.append(f"{number:6d}\t{lines[number - 1][:2000]}")
        left -= len(shown[-1])
        if left <= 0:
            last = number
            break
    if last < len(lines):
        shown.append(f"[{len(lines) - last} more lines; view from {last + 1}]")
    return "\n".join(shown)


class EditArguments(Arguments):
    """An exact replacement."""

    path: str
    old: str = Field(description="Text that occurs exactly once, white space included.")
    new: str = Field(description="What stands there instead.")


async def edit(context: ToolContext, args: EditArguments) -> Reply:
    """Replace one exact, unique piece of a file; check its syntax."""
    try:
        data = await context.sandbox.read(args.path)
    except FileMissing:
        return refusal_reply(f"there is no {args.path}; create makes new files")
    except FileRefused as problem:
        return refusal_reply(str(problem))
    file = decode(data)
    if file is None:
        return refusal_reply(f"{args.path} is binary")
    old, new = restore(args.old), restore(args.new)
    if file.crlf:
        old, new = old.replace("\r\n", "\n"), new.replace("\r\n", "\n")
    done = replace_once(file.text, old, new)
    if done.refusal:
        return refusal_reply(done.refusal)
    try:
        await context.sandbox.write(args.path, file.encode(done.text))
    except UnicodeEncodeError as problem:
        lacking = problem.object[problem.start]
        return refusal_reply(
            f"{args.path} is in {file.encoding}, which has no {lacking!r}; write it another way, "
            "or convert the whole file on purpose"
        )
    except FileRefused as problem:
        return refusal_reply(str(problem))
    height = args.new.count("\n") + 1
    shown = number_lines(args.path, done.text, max(1, done.line - 2), done.line + height + 1)
    problem_found = await _syntax(context, args.path)
    return Reply(f"edited {args.path}\n{shown}{problem_found}", changed_tree=True)


class CreateArguments(Arguments):
    """A new file."""

    path: str
    content: str


async def create(context: ToolContext, args: CreateArguments) -> Reply:
    """Write a new file; an existing one in the repository is refused."""
    try:
        await context.sandbox.read(args.path, max_bytes=1)
        exists = True
    except FileMissing:
        exists = False
    except FileRefused:
        exists = True
    if exists and not args.path.startswith("/tmp/"):  # noqa: S108 - a path in the sandbox
        return refusal_reply(f"{args.path} exists; use edit")
    content = restore(args.content)
    try:
        await context.sandbox.write(args.path, TextFile("", "utf-8", crlf=False).encode(content))
    except FileRefused as problem:
        return refusal_reply(str(problem))
    problem_found = await _syntax(context, args.path)
    lines = content.count("\n") + (0 if content.endswith("\n") else 1)
    return Reply(f"created {args.path} ({lines} lines){problem_found}", changed_tree=True)


async def _syntax(context: ToolContext, path: str) -> str:
    check = next((c for suffix, c in SYNTAX_CHECKS.items() if path.endswith(suffix)), "")
    if not check:
        return ""
    program = check.split(" ", 1)[0]
    command = f"! command -v {program} >/dev/null || {check} {shlex.quote(path)} 2>&1 >/dev/null"
    result = await context.sandbox.run(command, timeout_s=20)
    if result.ok:
        return ""
    return f"\nwarning: the file no longer parses:\n{result.text.strip()[-1500:]}"


class SearchArguments(Arguments):
    """What to search for."""

    pattern: str = Field(description="Regular expression (ripgrep).")
    path: str = "."
    glob: str = Field("", description="Only files that match, e.g. *.py")


async def search(context: ToolContext, args: SearchArguments) -> Reply:
    """Ripgrep over the tree."""
    glob = f"--glob {shlex.quote(args.glob)} " if args.glob else ""
    result = await context.sandbox.run(
        "rg --line-number --no-heading --color never --hidden --glob '!.git' --max-columns 400 "
        f"{glob}-e {shlex.quote(args.pattern)} -- {shlex.quote(args.path)}",
        timeout_s=60,
    )
    if result.exit_code == 1 and not result.output.strip():
        return Reply("nothing found")
    if result.exit_code not in (0, 1):
        return Reply(result.text.strip() or "the search was killed", status="error")
    lines = sorted(line.removeprefix("./") for line in result.text.rstrip("\n").split("\n"))
    return Reply("\n".join(line.replace(f"{WORKDIR}/", "") for line in lines))
