"""Control tokens and forged role markers in hostile text, made harmless and put back.

A chat template is filled in as text and then tokenised as a whole, so a file that holds
`<|im_end|>` would end the message it is in. `neutralise` breaks every such marker with one
`¦` after its first sign: `<¦|im_end|>`. A marker that is broken already gets one more, so that
`restore` gives back exactly the first text, whatever it was.
"""

from __future__ import annotations

import re

BREAK = "¦"
"""The sign put into a marker; visible, so that a model can copy it into an `edit`."""

_MARKER = re.compile(
    rf"""
      <(?={BREAK}*(?:
          [|｜][^<>|｜\s][^<>|｜\n]{{0,62}}[|｜]>   # <|im_end|>, <|tool_call_begin|>, <｜User｜>
        | /?think>                                  # where the reasoning ends
        | <{BREAK}*/?SYS>>                          # role markers of other model families
      ))
    | \[(?={BREAK}*(?:BOS|EOS|EOT|PAD|UNK|/?INST)\])
    | (?m:^)\#\#[ ](?={BREAK}*Return[ ]of[ ])       # the head of a tool's result in K2's template
    """,
    re.VERBOSE,
)
_BROKEN = re.compile(rf"({_MARKER.pattern}){BREAK}", re.VERBOSE)
_RAW = re.compile(rf"({_MARKER.pattern})(?!{BREAK})", re.VERBOSE)


def neutralise(text: str) -> str:
    """The text with every control token and role marker broken; undone by `restore`."""
    return _MARKER.sub(lambda m: m.group() + BREAK, text)


def restore(text: str) -> str:
    """The text as it was before `neutralise`; for what a model writes into files."""
    return _BROKEN.sub(r"\1", text)


def guard(text: str) -> str:
    """Break only the markers that are still whole: the last line before a prompt.

    Text that went through `neutralise` comes out as it went in. Not reversible.
    """
    return _RAW.sub(lambda m: m.group(1) + BREAK, text)
