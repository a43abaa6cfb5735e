"""The onboarding pull request: a settings file written from a check, and the text around it.

Everything that comes of the repository is written as data: values as quoted YAML, remarks as
comments of one line, and the pull request's text escaped.
"""

from __future__ import annotations

import textwrap

import yaml

from app.check.comment import report_comment
from app.check.report import CheckReport
from app.repo_config.parser import read_repo_config
from app.repo_config.schema import PATH
from app.sanitize.markdown import COMMENT_LIMIT, Markdown, code, shorten, visible

TITLE = "Configure Patchwright"
_WIDTH = 100


def config_file(report: CheckReport, label: str) -> str:
    """The text of `.github/patchwright.yml`, each line explained.

    The test command is set where the suite runs well; what would only pin what is found out anyway
    is a comment.
    """
    text = _text(report, label)
    if read_repo_config(text.encode()).problems:  # what was found does not fit into a line of it
        text = _text(report.model_copy(update={"test_command": "", "recipe": ""}), label)
    return text


def _text(report: CheckReport, label: str) -> str:
    parts = [
        _remark("Settings of Patchwright for this repository. Every line may be changed."),
        f"{_remark('Whether it works in this repository at all.')}\nenabled: true",
        f"{_remark('The label on an issue that starts a run.')}\nlabel: {_value(label)}",
        _tests(report),
    ]
    if report.recipe:
        parts.append(
            _remark(
                f"The environment is found out from {report.environment}. Without the marks, these "
                "lines keep it as it is now, whatever the repository's files say later:"
            )
            + "\n"
            + "\n".join(f"# {visible(line)}" for line in report.recipe.splitlines())
        )
    if not report.ready:
        parts.append(_remark(f"Not ready yet: {report.degraded}"))
    return "\n\n".join(parts) + "\n"


def _tests(report: CheckReport) -> str:
    if not report.test_command:
        why = "Runs the tests. None were found: put your own command here and remove the mark."
        return f"{_remark(why)}\n# test_command: python3 -m pytest"
    counts = ", ".join(f"{n} {outcome}" for outcome, n in sorted(report.tests.items()))
    said = f"Runs the tests. Tried: {counts or 'no results per test'}, {report.suite_s:.0f} s."
    line = f"test_command: {_value(report.test_command)}"
    return f"{_remark(said)}\n{line if report.ready else f'# {line}'}"


def _remark(text: str) -> str:
    flat = shorten(" ".join(visible(text).split()), 600)
    return "\n".join(f"# {line}" for line in textwrap.wrap(flat, _WIDTH - 2))


def _value(text: str) -> str:
    """A string as one line of YAML, in double quotes."""
    return yaml.safe_dump(text, default_style='"', width=100_000).strip()


def pull_text(report: CheckReport, name: str) -> Markdown:
    """The text of the pull request: what it does, what closing it means, and the report."""
    lead = (
        f"This adds {code(PATH)}, written from what was found in this repository.\n\n"
        "- **Merge it** (changed as you like), and Patchwright works here: label an issue, or "
        f"comment `/{name} help`.\n"
        "- **Close it**, and this repository is left alone for good. If you change your mind, open "
        "it again and merge it, or add the file yourself.\n\n"
        "Until then, nothing else is done here.\n\n## Is this repository ready?\n\n"
    )
    return Markdown(lead + report_comment(report, COMMENT_LIMIT - len(lead) - 500))
