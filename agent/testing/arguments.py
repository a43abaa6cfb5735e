"""Single tests on each runner's command line: the arguments that choose them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence


def go(command: str, chosen: tuple[str, ...]) -> str:
    """Packages by their paths, tests by one pattern: a test of that name in each of them runs."""
    call = re.sub(r"(go\s+test)(?=\s|$)", r"\1 -json", command, count=1)
    if not chosen:
        return call
    flags = [word for word in command.partition(" test")[2].split() if word.startswith("-")]
    head = " ".join(["go test -json", *map(shlex.quote, flags)])
    packages = sorted({name.split("::")[0] for name in chosen if "::" in name}) or ["./..."]
    patterns = sorted({_go_pattern(name.rpartition("::")[2]) for name in chosen})
    joined = patterns[0] if len(patterns) == 1 else "|".join(p.split("/")[0] for p in patterns)
    return f"{head} {' '.join(map(shlex.quote, packages))} -run {shlex.quote(joined)}"


def _go_pattern(test: str) -> str:
    return "/".join(f"^{re.escape(part)}$" for part in test.split("/"))


def cargo(command: str, chosen: tuple[str, ...]) -> str:
    """Test functions by their whole paths."""
    call = command if "--no-fail-fast" in command else _cargo_whole_run(command)
    if not chosen:
        return call
    names = " ".join(shlex.quote(name) for name in chosen)
    return f"{call} -- --exact {names}" if " -- " not in call else f"{call} --exact {names}"


def _cargo_whole_run(command: str) -> str:
    return re.sub(r"(cargo\s+(?:\+\S+\s+)?(?:test|t))(?=\s|$)", r"\1 --no-fail-fast", command)


def after(command: str, runner: str, options: str) -> str:
    """The options right behind the runner's name: what follows may be for another program."""
    pattern = rf"((?:^|[\s/]){runner})(?=\s|$)"
    return re.sub(pattern, lambda found: f"{found[1]} {options}", command, count=1)


def mocha(chosen: tuple[str, ...]) -> str:
    """Whole files by path, single tests by title (one regular expression for all)."""
    files = tuple(line for line in chosen if _FILE.search(line))
    titles = tuple(line for line in chosen if not _FILE.search(line))
    return quoted(files) + _by_title(titles, "-g")


def node(chosen: tuple[str, ...]) -> str:
    """Files by path, tests by title."""
    files = sorted({line.split("::")[0] for line in chosen})
    titles = [line.split("::", 1)[1] for line in chosen if "::" in line]
    patterns = "".join(f" --test-name-pattern={shlex.quote(f'^{re.escape(t)}$')}" for t in titles)
    return patterns + "".join(f" {shlex.quote(path)}" for path in files)


def ava(chosen: tuple[str, ...]) -> str:
    """Files by path; of a test all of its title that follows the file's own words."""
    files = "".join(f" {shlex.quote(name)}" for name in chosen if _FILE.search(name))
    titles = [name.split(" › ", 1)[-1] for name in chosen if not _FILE.search(name)]
    # A pattern's `*` and `!` have a meaning, and match themselves as a `*`.
    patterns = [re.sub(r"[*!]", "*", title) for title in titles]
    return files + "".join(f" --match={shlex.quote(p)}" for p in dict.fromkeys(patterns))


def quoted(chosen: Sequence[str]) -> str:
    """Words as a shell takes them, each with a blank before it."""
    return "".join(f" {shlex.quote(name)}" for name in chosen)


def any_of(names: Sequence[str]) -> str:
    """A regular expression for exactly these names, as CMake, PCRE and Ruby read it."""
    escaped = (re.sub(r"([^\w\s#:@,;=!%&<>~\"'-])", r"\\\1", name) for name in names)
    return f"^({'|'.join(escaped)})$"


def rspec(chosen: tuple[str, ...]) -> str:
    """Whole files by path, single examples by their full title in their files."""
    files = dict.fromkeys(file(name) for name in chosen)
    titles = [name.split("::", 1)[1] for name in chosen if "::" in name]
    return quoted(tuple(files)) + "".join(f" -e {shlex.quote(title)}" for title in titles)


def file(name: str) -> str:
    """The file of a test that is called `file::title`."""
    return name.split("::")[0]


def unformatted(command: str) -> str:
    """A command without the pipe into a program that makes TAP pleasant to read."""
    return re.sub(r"\|\s*(?:npx\s+)?[\w@./-]*(?:\btap|faucet)[\w-]*\s*$", "", command).rstrip()


def jest(command: str, chosen: tuple[str, ...], report: str, *, vitest: bool) -> str:
    """Jest or Vitest with its JSON report; files by path, tests by full title."""
    asking = f"--reporter=json --outputFile={report}" if vitest else f"--json --outputFile={report}"
    files = sorted({name.split("::")[0] for name in chosen})
    titles = tuple(name.split("::", 1)[1] for name in chosen if "::" in name)
    paths = "".join(f" {shlex.quote(path)}" for path in files)
    runner = r"vitest(?:\s+run)?" if vitest else "jest"
    return f"{after(command, runner, asking)}{paths}{_by_title(titles, '-t')}"


def _by_title(names: tuple[str, ...], option: str) -> str:
    titles = [name.split("::", 1)[-1] for name in names]
    if not titles:
        return ""
    return f" {option} {shlex.quote('|'.join(f'^{re.escape(t)}$' for t in titles))}"


DJANGO = r"(?:^|[\s/])(?:manage\.py|django-admin)\s+test(?=\s|$)|-m\s+django\s+test(?=\s|$)"
"""Calls of Django's own test command."""

_DJANGO_CALL = re.compile(
    r"(?P<by>(?:\S*python[\d.]*|coverage\s+run|uv\s+run)\s+(?:-\S+\s+)*)?"
    r"(?P<program>-m\s+django|django-admin|\S*manage\.py)\s+test(?=\s|$)"
)
_DJANGO_VALUES = frozenset(
    {"--settings", "--pythonpath", "-v", "--verbosity", "--tag", "--exclude-tag", "-k", "-p"}
    | {"--pattern", "-t", "--top-level-directory", "--testrunner", "--shuffle", "--parallel"}
)


def django(command: str, chosen: Sequence[str], reporting: str) -> str:
    """The same call through a program that writes JUnit XML (`unittest_report.py`)."""
    found = _DJANGO_CALL.search(command)
    if found is None:
        return command
    program = "-m django" if found["program"] == "django-admin" else found["program"]
    by = found["by"] or "python3 "
    call = f"{command[: found.start()]}{by}{reporting} --program {program} test"
    rest = command[found.end() :]
    if not chosen:
        return call + rest
    return call + _without_labels(rest) + quoted([_as_label(name) for name in chosen])


def _without_labels(rest: str) -> str:
    """The options behind `test`, without the tests that they are followed or led by."""
    if re.search(r"[;&|<>`$()]", rest):
        return rest
    words = rest.split()
    kept = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if word.startswith("-") or before in _DJANGO_VALUES
    ]
    return "".join(f" {word}" for word in kept)


def _as_label(name: str) -> str:
    path, _, rest = name.partition("::")
    if not path.endswith(".py"):
        return name
    return ".".join([path.removesuffix(".py").replace("/", "."), *filter(None, rest.split("::"))])


def jasmine(chosen: Sequence[str]) -> str:
    """Files by path, specs by their full title."""
    files = dict.fromkeys(file(name) for name in chosen if "::" in name or _FILE.search(name))
    titles = [name.split("::", 1)[-1] for name in chosen if not _FILE.search(name)]
    only = f" --filter={shlex.quote(_titles(titles))}" if titles else ""
    return quoted(tuple(files)) + only


def uvu(chosen: Sequence[str], reporter: str) -> str:
    """Shell words that have uvu load a program of ours, which runs the chosen tests alone."""
    line = f'export NODE_OPTIONS="--require {reporter}${{NODE_OPTIONS:+ $NODE_OPTIONS}}"'
    only = json.dumps(list(chosen), ensure_ascii=False)
    return f"{line} PATCHWRIGHT_CHOSEN_TESTS={shlex.quote(only)}" if chosen else line


def bun(chosen: Sequence[str]) -> str:
    """Files by path (`./`, or a word would be looked for in all paths), tests by full title."""
    files = dict.fromkeys(file(name) for name in chosen)
    titles = [name.split("::", 1)[1] for name in chosen if "::" in name]
    only = f" -t {shlex.quote(_titles(titles))}" if titles else ""
    return quoted([f"./{path}" for path in files]) + only


def deno(chosen: Sequence[str]) -> str:
    """Files by path, tests by title. A step runs with its test, whose title may hold ` > ` too."""
    files = dict.fromkeys(file(name) for name in chosen if "::" in name or _FILE.search(name))
    steps = [name.split("::", 1)[-1].split(" > ") for name in chosen if not _FILE.search(name)]
    titles = [" > ".join(parts[:count]) for parts in steps for count in range(1, len(parts) + 1)]
    only = f" --filter {shlex.quote(f'/{_titles(titles)}/')}" if titles else ""
    return only + quoted(tuple(files))


def playwright(chosen: Sequence[str]) -> str:
    """Files by path, tests by title: what it is compared with begins with project and file."""
    files = dict.fromkeys(re.escape(file(name)) for name in chosen)
    titles = [_escaped(name.split("::", 1)[1]) for name in chosen if "::" in name]
    pattern = rf"(?:^|\s)(?:{'|'.join(titles)})(?:\s@\S+)*$"
    return quoted(tuple(files)) + (f" -g {shlex.quote(pattern)}" if titles else "")


_FILE = re.compile(r"^(?!.*::)\S+\.[cm]?[jt]sx?$")


def _titles(titles: Sequence[str]) -> str:
    """A regular expression of JavaScript for exactly these titles."""
    return f"^(?:{'|'.join(map(_escaped, dict.fromkeys(titles)))})$"


def _escaped(title: str) -> str:
    """As a regular expression, without escapes that Deno's refuses, such as that of a blank."""
    return re.sub(r"([.*+?^${}()|[\]\\])", r"\\\1", title)


def nextest(command: str, chosen: Sequence[str], settings: str, report: str) -> str:
    """With JUnit XML by settings of ours that those of the repository overrule."""
    written = f"[profile.default.junit]\npath = {report!r}\n"
    asking = f"--tool-config-file patchwright:{settings}"
    if "--no-fail-fast" not in command:
        asking += " --no-fail-fast"
    only = " | ".join(map(_nextest_filter, chosen))
    call = after(command, r"nextest\s+(?:run|r)", asking)
    call += f" -E {shlex.quote(only)}" if chosen else ""
    return f"printf %s {shlex.quote(written)} >{settings}\n{call}"


def _nextest_filter(name: str) -> str:
    binary, _, test = name.rpartition(" ")
    of = f"binary_id(={binary}) & " if binary else ""
    return f"({of}test(={test}))"


def sbt(command: str, chosen: Sequence[str]) -> str:
    """Whole classes: how single tests are named differs from one test framework to another."""
    if not chosen:
        return command
    classes = dict.fromkeys(name.partition("#")[0] for name in chosen)
    only = shlex.quote(f"testOnly {' '.join(classes)}")
    found = re.search(r"(?<=\s)(['\"]?)test(?:Only[^'\"]*)?\1(?=\s|$)", command)
    if found is None:
        return f"{command} {only}"
    return command[: found.start()] + only + command[found.end() :]


CATCH2_REPORTER = r"(?:-r|--reporter)[= ](?:junit|xml)"
_CATCH2_OWN = re.compile(rf"\s(?:{CATCH2_REPORTER}|(?:-o|--out)[= ]\S+)(?=\s|$)")


def catch2(command: str, chosen: Sequence[str], report: str) -> str:
    """The report into a file of ours; test cases by name, those with sections as a whole."""
    call = f"{_CATCH2_OWN.sub('', command)} --reporter junit --out {report}"
    names = dict.fromkeys(part for name in chosen for part in (name, name.partition("/")[0]))
    only = ",".join(re.sub(r"([,\[\]*\\\"~])", r"\\\1", name) for name in names)
    return f"{call} {shlex.quote(only)}" if chosen else call


_GOOGLETEST = re.compile(r"(?![^:]*\.py::)[^\s:/]+::[\w/]+\.[\w/]+")


def is_googletest(name: str) -> bool:
    """Whether a test is a case of a program made with GoogleTest: `program::Suite.Case`."""
    return _GOOGLETEST.fullmatch(name) is not None


def googletest(folder: str, chosen: Sequence[str]) -> str:
    """Shell words that have such programs write reports, and run the chosen cases alone."""
    cases = [name.partition("::")[2] for name in chosen if is_googletest(name)]
    only = f" GTEST_FILTER={shlex.quote(':'.join(cases))}" if cases else ""
    return f"export GTEST_OUTPUT=xml:{folder}/{only}"


def exunit(command: str, chosen: Sequence[str], reporter: str) -> str:
    """With a formatter of ours beside the usual one; tests by their names in their files."""
    call = re.sub(
        r"(?<![^\s/])mix\s+test(?=\s|$)",
        f"elixir -r {reporter} -S mix test --formatter PatchwrightReport "
        "--formatter ExUnit.CLIFormatter",
        command,
        count=1,
    )
    files = dict.fromkeys(file(name) for name in chosen)
    titles = [name.split("::", 1)[1] for name in chosen if "::" in name]
    only = "".join(f" --only {shlex.quote(f'test:{title}')}" for title in titles)
    return call + quoted(tuple(files)) + only
