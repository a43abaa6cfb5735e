"""What a suite says it misses, and the distributions that would bring it; and what breaks it.

A module's name is no distribution's name, and anybody may publish under a name that nobody has
taken: so only what a reviewed table knows, or what the project's own manifests name, is installed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_MODULE = re.compile(
    r"No module named ['\"]?([A-Za-z_][\w.]{0,100})"
    r"|could not import ['\"]([A-Za-z_][\w.]{0,100})['\"]"
    r"|Error importing plugin ['\"]([A-Za-z_][\w.]{0,100})['\"]"
)
_PACKAGE = re.compile(
    r"(?:Cannot find (?:module|package)|Failed to resolve import|Could not resolve) "
    r"['\"]((?:@[\w.-]+/)?[A-Za-z][\w.-]{0,100})"
)
_OPTIONS = re.compile(r"unrecognized arguments?: (.{1,500})")
_FIXTURE = re.compile(r"fixture '(\w{1,60})' not found")
_MARKER = re.compile(r"'(\w{1,60})' not found in `markers`")
_REQUIRED = re.compile(r"Missing required plugins?: (.{1,300})")
_REQUIREMENT = re.compile(r"[a-z][\w.-]{1,60}(?:[<>=!~]=?[\w.*]{1,20},?)*")
_NO_ASYNC = re.compile(r"async def functions? (?:are not natively supported|and no async plugin)")

_BROKEN = re.compile(r"PluginValidationError: Plugin '([\w.-]{1,60})' for hook")
_CHECKERS = {
    name: f"pytest-{name}"
    for name in ("black", "flake8", "isort", "mypy", "pep8", "pycodestyle", "pydocstyle", "pylint")
}
"""Plugins by their names that check how code is written: no test needs them."""

_OF_OPTION = (
    (r"--cov(?:-[\w-]+)?(?:=|$)", "pytest-cov"),
    (r"-n(?:\d|=|auto|$)|--(?:numprocesses|dist|maxprocesses)(?:=|$)", "pytest-xdist"),
    (r"--timeout(?:-method)?(?:=|$)", "pytest-timeout"),
    (r"--random-order", "pytest-random-order"),
    (r"--randomly", "pytest-randomly"),
    (r"--reruns", "pytest-rerunfailures"),
    (r"--benchmark", "pytest-benchmark"),
    (r"--html|--self-contained-html", "pytest-html"),
    (r"--(?:ds|dc|reuse-db|create-db|nomigrations|no-migrations)(?:=|$)", "pytest-django"),
    (r"--asyncio-mode", "pytest-asyncio"),
    (r"--mypy", "pytest-mypy"),
    (r"--flake8", "pytest-flake8"),
    (r"--ruff", "pytest-ruff"),
    (r"--black", "pytest-black"),
    (r"--isort", "pytest-isort"),
    (r"--pylint", "pytest-pylint"),
    (r"--forked", "pytest-forked"),
    (r"--snapshot-update|--snapshot-", "syrupy"),
    (r"--allow-hosts|--disable-socket|--allow-unix-socket", "pytest-socket"),
    (r"--driver|--variables", "pytest-selenium"),
    (r"--(?:browser|headed|tracing|screenshot)(?:=|$)", "pytest-playwright"),
    (r"--docker-compose", "pytest-docker"),
    (r"--hypothesis", "hypothesis"),
    (r"--doctest-(?:plus|rst|modules-plus)", "pytest-doctestplus"),
    (r"--codeblocks", "pytest-codeblocks"),
    (r"--nbval", "nbval"),
    (r"--mpl", "pytest-mpl"),
    (r"--arraydiff", "pytest-arraydiff"),
    (r"--remote-data", "pytest-remotedata"),
    (r"--open-files", "pytest-openfiles"),
    (r"--durations-path|--splits|--group(?:=|$)", "pytest-split"),
    (r"--testmon", "pytest-testmon"),
    (r"--picked", "pytest-picked"),
    (r"--report-log", "pytest-reportlog"),
    (r"--json-report", "pytest-json-report"),
    (r"--count(?:=|$)", "pytest-repeat"),
    (r"--sugar|--old-summary", "pytest-sugar"),
    (r"--instafail", "pytest-instafail"),
    (r"--spec", "pytest-spec"),
    (r"--beartype-packages", "pytest-beartype"),
    (r"--typeguard-packages", "typeguard"),
    (r"--alluredir", "allure-pytest"),
    (r"--memray", "pytest-memray"),
)
_OF_FIXTURE = {
    "mocker": "pytest-mock",
    "benchmark": "pytest-benchmark",
    "snapshot": "syrupy",
    "httpserver": "pytest-httpserver",
    "httpbin": "pytest-httpbin",
    "requests_mock": "requests-mock",
    "respx_mock": "respx",
    "responses": "pytest-responses",
    "httpx_mock": "pytest-httpx",
    "aiohttp_client": "pytest-aiohttp",
    "aioresponses": "aioresponses",
    "event_loop": "pytest-asyncio",
    "anyio_backend": "anyio",
    "client": "pytest-django",
    "db": "pytest-django",
    "rf": "pytest-django",
    "settings": "pytest-django",
    "freezer": "pytest-freezer",
    "time_machine": "time-machine",
    "subtests": "pytest-subtests",
    "datadir": "pytest-datadir",
    "shared_datadir": "pytest-datadir",
    "data_regression": "pytest-regressions",
    "file_regression": "pytest-regressions",
    "num_regression": "pytest-regressions",
    "image_regression": "pytest-regressions",
    "fs": "pyfakefs",
    "faker": "faker",
    "qtbot": "pytest-qt",
    "postgresql": "pytest-postgresql",
    "redisdb": "pytest-redis",
    "page": "pytest-playwright",
    "script_runner": "pytest-console-scripts",
    "testinfra": "pytest-testinfra",
    "lazy_shared": "pytest-lazy-fixtures",
    "cov": "pytest-cov",
}
_OF_MARKER = {
    "asyncio": "pytest-asyncio",
    "anyio": "anyio",
    "trio": "pytest-trio",
    "timeout": "pytest-timeout",
    "django_db": "pytest-django",
    "benchmark": "pytest-benchmark",
    "flaky": "pytest-rerunfailures",
    "repeat": "pytest-repeat",
    "order": "pytest-order",
    "run": "pytest-order",
    "xdist_group": "pytest-xdist",
    "freeze_time": "pytest-freezer",
    "vcr": "pytest-recording",
    "respx": "respx",
    "httpx_mock": "pytest-httpx",
    "forked": "pytest-forked",
    "mpl_image_compare": "pytest-mpl",
    "remote_data": "pytest-remotedata",
    "parallel_threads": "pytest-run-parallel",
    "thread_unsafe": "pytest-run-parallel",
}
_OF_MODULE = {
    "PIL": "pillow",
    "OpenSSL": "pyopenssl",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "crypto": "pycryptodome",
    "Crypto": "pycryptodome",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "git": "gitpython",
    "google.protobuf": "protobuf",
    "jose": "python-jose",
    "jwt": "pyjwt",
    "ldap": "python-ldap",
    "magic": "python-magic",
    "markdown": "markdown",
    "multipart": "python-multipart",
    "mysql": "mysql-connector-python",
    "nacl": "pynacl",
    "pkg_resources": "setuptools<81",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "pytest_asyncio": "pytest-asyncio",
    "pytest_cov": "pytest-cov",
    "pytest_mock": "pytest-mock",
    "pytest_timeout": "pytest-timeout",
    "pytest_benchmark": "pytest-benchmark",
    "pytest_django": "pytest-django",
    "pythonjsonlogger": "python-json-logger",
    "ruamel": "ruamel.yaml",
    "serial": "pyserial",
    "setuptools": "setuptools<81",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "socks": "pysocks",
    "usb": "pyusb",
    "websocket": "websocket-client",
    "win32api": "",
    "xdist": "pytest-xdist",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
    **dict.fromkeys(("winreg", "msvcrt", "pwd", "termios", "_winapi", "tkinter", "Tkinter"), ""),
}
"""Modules whose distribution has another name; empty: none from PyPI brings it."""
_SAME = """
aiohttp anyio attrs babel black boto3 certifi cffi chardet click colorama coverage cryptography
cython django docutils exceptiongroup fastapi flask freezegun greenlet h11 h2 hpack httpx
hypothesis idna importlib_metadata importlib_resources isort itsdangerous jinja2 jsonschema lark
lxml mako markupsafe marshmallow matplotlib mock mpmath msgpack mypy networkx nose numba numpy
orjson packaging pandas parameterized pexpect platformdirs pluggy psutil psycopg pyarrow
pydantic pydot pygments pyparsing pytest pytz requests responses rich ruff scipy simplejson six
sniffio sortedcontainers sphinx sqlalchemy starlette sympy tabulate toml tomli tornado tox tqdm
trio trustme typeguard typer typing_extensions tzdata ujson urllib3 uvicorn uvloop virtualenv
wcwidth websockets werkzeug wheel wrapt xmltodict zstandard
"""
_SAME_NAME = frozenset(_SAME.split())
"""Modules whose distribution has the same name, reviewed."""


def missing_modules(said: str) -> tuple[str, ...]:
    """The modules (Python's, Node's packages) that a text says are not there; each once."""
    return tuple(dict.fromkeys([*_python_modules(said), *_PACKAGE.findall(said)]))


def _python_modules(said: str) -> list[str]:
    return [a or b or c for a, b, c in _MODULE.findall(said)]


def missing_distributions(said: str, manifests: Mapping[str, str]) -> tuple[str, ...]:
    """The distributions of PyPI that would bring what a text of pytest's says it misses."""
    named = "\n".join(manifests.values())
    found: list[str] = []
    for options in _OPTIONS.findall(said):
        found += [_of_option(word) for word in options.split()]
    found += [_OF_FIXTURE.get(name, "") for name in _FIXTURE.findall(said)]
    found += [_OF_MARKER.get(name, "") for name in _MARKER.findall(said)]
    for listed in _REQUIRED.findall(said):
        words = [word.strip() for word in listed.split(",")]
        found += [word for word in words if _REQUIREMENT.fullmatch(word) and _is_known(word)]
    if _NO_ASYNC.search(said):
        found.append("pytest-asyncio")
    found += [_of_module(module, named) for module in _python_modules(said)]
    return tuple(dict.fromkeys(name for name in found if name))


def broken_checkers(said: str) -> tuple[str, ...]:
    """The distributions of checkers of style that keep pytest from starting, by its own words.

    Those that are no longer kept up stop it as soon as a hook of pytest changes.
    """
    names = (name.removeprefix("pytest_").removeprefix("pytest-") for name in _BROKEN.findall(said))
    return tuple(dict.fromkeys(_CHECKERS[name] for name in names if name in _CHECKERS))


def _of_option(word: str) -> str:
    return next((plugin for pattern, plugin in _OF_OPTION if re.match(pattern, word)), "")


def _is_known(requirement: str) -> bool:
    name = re.split(r"[<>=!~]", requirement)[0]
    return name in {plugin for _, plugin in _OF_OPTION} | {
        *_OF_FIXTURE.values(),
        *_OF_MARKER.values(),
    }


def _of_module(module: str, named: str) -> str:
    for length in range(module.count(".") + 1, 0, -1):
        start = ".".join(module.split(".")[:length])
        if start in _OF_MODULE:
            return _OF_MODULE[start]
    top = module.split(".")[0]
    if top.lower() in _SAME_NAME:
        return top.lower().replace("_", "-")
    words = "[-_.]+".join(re.escape(part) for part in re.split(r"[-_.]+", top) if part)
    # As a requirement is written: a name of its own, not a part of another word or a path.
    there = re.search(rf"(?<![\w./-]){words}(?=[\s\"'<>=!~\[;,\])]|$)", named, re.I | re.M)
    return there[0].lower().replace("_", "-") if there else ""
