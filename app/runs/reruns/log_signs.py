"""What the log of a failed job says: that its machine or the network failed, or which tests did.

The log is untrusted, and a test may print anything. So only the step that failed counts; words of
the network count only in lines that a known installer wrote and ended with; and where a step has
results of tests, a failed download is none of its reasons. What the runner itself says stands in
its own lines. Facts: logs in public issue threads (`tests/data/ci_logs.json` names them).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent.model import Record
from app.sanitize.terminal import visible

TAIL_LINES = 80
"""Lines before the end of the failed step in which an installer's last words are looked for."""
MOST_TESTS = 50
_LONGEST_LINE = 2_000
_STAMP = re.compile(r"^\ufeff?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z ?")
_GROUP = re.compile(r"^##\[group\](?:Run |Initialize|Starting|Pull|Download|Getting action)")
_ERROR = "##[error]"

_RUNNER = re.compile(
    r"^(?:##\[error\])?(?:"
    r"The (?:self-)?hosted runner\b.{0,120}? lost communication with the server\b"
    r"|The runner has received a shutdown signal\b"
    r"|The job was not (?:acquired by Runner|started because)\b.{0,200}"
    r"|The hosted runner encountered an error while running your job\b"
    r"|The self-hosted runner (?:: .{0,120}? )?(?:lost|has been removed)\b"
    r"|GitHub Actions has encountered an internal error when running your job"
    r"|Received request to deprovision: The request was cancelled by the remote provider"
    r"|No runner could be acquired\b|.{0,80}\bwas evicted from the node\b"
    r")"
)
"""Lines of the runner or of GitHub, and annotations, that say that the machine was lost."""
_DOWNLOADING = re.compile(
    r"^(?:##\[error\])?(?:Error: )?(?:"
    r"Failed to download (?:action|archive) .{0,300}|Failed to (?:save|restore) cache: .{0,100}"
    r"|An action could not be downloaded.{0,200}"
    r"|(?:Unable to resolve action|Can't use 'tar -xzf').{0,300}(?:50\d|timed? ?out)"
    r")",
    re.IGNORECASE,
)
_TOOL = re.compile(
    r"(?:^|\s|\])(?:npm (?:ERR!|error)|YN\d{4}:|error An unexpected error occurred|ERR_PNPM"
    r"|pip\._vendor|pip\._internal|ERROR: (?:Could not install|HTTP error|Could not find a version)"
    r"|E: (?:Failed to fetch|Unable to fetch)|Err:\d+ "
    r"|Error response from daemon|error pulling image|failed to (?:solve|fetch anonymous token"
    r"|authorize|resolve source metadata|do request|copy):"
    r"|fatal: unable to access|fatal: fetch-pack|error: RPC failed|fatal: the remote end"
    r"|error: (?:Request failed after|Failed to install \S+)"
    r"|curl: \(\d+\)|error: (?:failed to (?:download|get|fetch)|Failed to fetch)"
    r"|warning: spurious network error|Could not (?:GET|HEAD|transfer artifact|get resource)"
    r"|Bundler::HTTPError|Gem::RemoteFetcher|gpg: keyserver|CondaHTTPError"
    r"|rustup: |Failed to download action|error Error: https?://|Error in fail: failed to fetch"
    r"|fetch-pack: |##\[error\]fatal:)|^(?:\S{1,12} )?go(?: get)?: "
)
"""What package managers, git, Docker and downloads begin their last words with."""
_CAUSE_LINES = 6
"""Lines after such a beginning in which its cause may stand."""
_NETWORK = re.compile(
    r"\b(?:ECONNRESET|ESOCKETTIMEDOUT|ETIMEDOUT|ENETUNREACH|EAI_AGAIN|ECONNABORTED|EHOSTUNREACH|ERR_SOCKET_TIMEOUT)"
    r"\b|network aborted|socket hang up"
    r"|[Rr]ead ?timed out|ReadTimeout|[Cc]onnect(?:ion)? ?timed out|[Cc]onnection timeout"
    r"|TLS handshake timeout|[Ss]SL connection timeout|i/o timeout|operation timed out"
    r"|Client\.Timeout exceeded|context deadline exceeded|[Oo]peration too slow"
    r"|[Tt]imeout was reached"
    r"|Unable to connect to \S+|Could not connect to \S+|failed to transfer more than"
    r"|Failure when receiving data|[Ss]SL_read|Connection reset$"
    r"|[Cc]onnection reset by peer|[Cc]onnection (?:was )?reset|[Cc]onnection broken|"
    r"[Rr]emote end closed connection|unexpected disconnect|RPC failed|early EOF"
    r"|unexpected EOF|IncompleteRead|[Nn]etwork is unreachable|No route to host"
    r"|Could not resolve host|Temporary failure (?:in name resolution|resolving)|"
    r"[Nn]ame or service not known|[Tt]emporarily unavailable|no such host|"
    r"server misbehaving|stream error: .{0,80}INTERNAL_ERROR|[Ss]SL_ERROR_SYSCALL"
)
_SERVER = re.compile(
    r"\b(?:50[0234]|429)\b.{0,40}?(?:Server Error|Bad Gateway|Service (?:Temporarily )?Unavailable|"
    r"Gateway Time-?out|Too Many Requests)"
    r"|(?:HTTP(?:/[\d.]+)?|status(?: code)?:?|[Ee]rror:?|code|ERR!|returned error:)\s*:?\s*"
    r"(?:code )?(?:50[0234]|429)\b|E50[0234]\b|E429\b"
    r"|, got (?:50[0234]|429)\b|toomanyrequests|received unexpected HTTP status: 50\d"
    r"|does not indicate success: (?:50[0234]|429)\b|HTTP status server error"
    r"|Service Unavailable|Bad Gateway"
)
_TESTS = re.compile(
    # Each part is looked for by itself: a hostile line would make one of several `.*` take minutes.
    r"^=+ (?=.*=$)(?=.*\b\d+ (?:failed|passed|errors?)\b).* in [\d.]+s"
    r"|^FAILED [\w./-]+::|^E\s{3,}\S"
    r"|^\s*Tests?:?\s(?:.*\D)?\d+ failed|^\s*Test Files\s.*failed|^\s*--- FAIL: |^FAIL\s+\S+"
    r"|^\s*\d+ (?:passing|failing)\b|^# (?:fail|not ok) [1-9]|^not ok \d|^FAILED \(|^Tests run: "
    r"|^test result: FAILED|^failures:$|^\s*\d+ examples?, [1-9]\d* failures?"
    r"|AssertionError\b"
)
_NAMES = (
    re.compile(r"^(?:FAILED|ERROR) (?P<file>[\w./\\-]+\.py)::(?P<name>[^\s]+)"),
    re.compile(r"^(?:FAIL|ERROR): (?P<name>\w+) \([\w.]+\)"),
    re.compile(r"^\s*--- FAIL: (?P<name>[\w/.-]+) \("),
    re.compile(r"^\s*(?:FAIL|❯|×)\s+(?P<file>[\w./@-]+\.(?:[cm]?[jt]sx?))(?:\s|$)"),
    re.compile(r"^test (?P<name>[\w:]+) \.\.\. FAILED$"),
    re.compile(r"^rspec \./(?P<file>[\w./-]+_spec\.rb):\d+"),
)


class FailedTest(Record):
    """A test that a log names as failed; what it does not tell is empty."""

    file: str = ""
    name: str = ""


class LogSigns(Record):
    """What a job's log says of its failure."""

    infrastructure: str = ""
    """The line that tells that the machine, the network or a registry failed; empty: none does.
    Untrusted."""
    tests: tuple[FailedTest, ...] = ()
    """The tests that it names as failed; at most `MOST_TESTS`."""


def read_log(log: str, annotations: Sequence[str] = ()) -> LogSigns:
    """What the log and the annotations of a failed job say."""
    lines = [_plain(line) for line in log.splitlines()]
    failed = _failed_step(lines)
    tests = _tests(lines)
    lost = next((line for line in (*annotations, *failed) if _RUNNER.match(line)), "")
    if lost:
        return LogSigns(infrastructure=lost[:300], tests=tests)
    if tests or any(_TESTS.search(line) for line in failed):
        return LogSigns(tests=tests)
    return LogSigns(infrastructure=_network_failure(failed[-TAIL_LINES:])[:300])


def _plain(line: str) -> str:
    return visible(_STAMP.sub("", line[:_LONGEST_LINE])).rstrip()


def _failed_step(lines: Sequence[str]) -> list[str]:
    """The lines of the step that failed, up to where the runner says so; without its word, all."""
    end = next((n for n, line in enumerate(lines) if line.startswith(_ERROR)), len(lines) - 1)
    begun = [n for n, line in enumerate(lines[:end]) if _GROUP.match(line)]
    # Several errors follow each other: the runner's last words are among them.
    while end + 1 < len(lines) and _ERROR in lines[end + 1]:
        end += 1
    return list(lines[begun[-1] if begun else 0 : end + 1])


def _network_failure(lines: Sequence[str]) -> str:
    """The last line in which an installer says that the network or a server failed."""
    for n in range(len(lines) - 1, -1, -1):
        if _DOWNLOADING.match(lines[n]):
            return lines[n]
        begun = lines[max(n - _CAUSE_LINES, 0) : n + 1]
        if (_NETWORK.search(lines[n]) or _SERVER.search(lines[n])) and any(
            map(_TOOL.search, begun)
        ):
            return lines[n].strip()
    return ""


def _tests(lines: Sequence[str]) -> tuple[FailedTest, ...]:
    found: dict[FailedTest, None] = {}
    for line in lines:
        for pattern in _NAMES:
            if named := pattern.match(line):
                parts = named.groupdict()
                found[FailedTest(file=parts.get("file") or "", name=parts.get("name") or "")] = None
                break
        if len(found) >= MOST_TESTS:
            break
    return tuple(found)
