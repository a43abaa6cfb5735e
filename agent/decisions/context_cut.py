"""Which old tool outputs leave the context, and when.

Between cuts the conversation only grows, so that the server's prefix cache serves it. A cut is
rare and big: past the high-water mark everything old goes at once, down to the low-water mark.
Images go first: they were seen, and can be asked for again.
Token counts come from the server's own usage; characters only share them out among messages.
"""

from __future__ import annotations

from agent.decisions.ledger import restate
from agent.journal.events import ContextCut
from agent.journal.state import AttemptState
from agent.model import Message, Picture
from agent.text.truncate import log_id_of

KEEPS_THINKING = 0.60
"""Share of the window at which a cut of a model that preserves its thinking stops, if outputs
alone reach it."""
KEEP_RECENT = 6
"""So many of the latest tool outputs stay whole as long as anything else can go."""
SHORTEST_CUT = 160
"""An output shorter than its stub is not worth cutting."""
ASSUMED_CHARS_PER_TOKEN = 3.0
"""Used only where the server has refused a prompt before it ever counted one."""
SHORTEST_TURN = 16_000
"""Tokens below which a turn is not worth asking for (`Profile.min_output_tokens`)."""
TURN_TOKENS = SHORTEST_TURN + 8_000
"""Room for the next turn and its results, at least."""
RECENT_CALLS = 20
RECENT_MESSAGES = 2 * RECENT_CALLS
"""By these it is told what further calls will add: each has a turn and a result."""
WORTH_KEEPING = 48_000
"""So many tokens stay in a cut, where they are not more than `LARGEST_REST` of the window."""
LARGEST_REST = 0.40


def high_water(window: int) -> float:
    """Tokens of a prompt beyond which it is cut.

    What a turn may need does not grow with the window: an eighth of it is free (32,768 of 262,144
    tokens, 131,072 of a million), `TURN_TOKENS` where that is more, and a quarter of a small one.
    """
    return window - min(window / 4, max(window / 8, TURN_TOKENS))


def low_water(window: int) -> float:
    """Tokens down to which a cut goes.

    What stays has to be read again, and comes the sooner to the next cut: of a large window a
    quarter stays, of a small one more, so that the model still sees what it works on. What each
    share costs: `bench/context_cuts.py`.
    """
    return max(window / 4, min(LARGEST_REST * window, WORTH_KEEPING))


def plan_cut(
    state: AttemptState,
    window: int,
    preserves_thinking: bool = False,
    *,
    calls_left: int | None = None,
    force: bool = False,
) -> ContextCut | None:
    """The cut that is due, or None. `force`: the server has just refused the prompt's length.

    `calls_left`: of the attempt's budget; where what they will add fits, there is no cut.

    `preserves_thinking`: the model is to see its thinking of all turns, so that a cut takes it
    only where outputs alone leave the prompt above `KEEPS_THINKING`.
    """
    if not force and state.prompt_tokens <= high_water(window):
        return None
    sizes = [_size(m) for m in state.messages]
    total = sum(sizes)
    if not force and calls_left is not None and total:
        per_call = sum(sizes[-RECENT_MESSAGES:]) * state.prompt_tokens / total / RECENT_CALLS
        if state.prompt_tokens + calls_left * per_call <= window - SHORTEST_TURN:
            return None
    per_char = (
        state.prompt_tokens / total
        if state.prompt_tokens and total
        else 1 / ASSUMED_CHARS_PER_TOKEN
    )
    if force and total:
        # What came since the server last counted is what made the prompt too long.
        per_char = max(per_char, window / total)
    target = low_water(window) / per_char
    outputs = [i for i, m in enumerate(state.messages) if m.role == "tool"]
    old, recent = outputs[:-KEEP_RECENT], outputs[-KEEP_RECENT:]
    stubs: dict[str, str] = {}
    blanked: list[str] = []
    pictures = tuple(picture for m in state.messages for picture in m.pictures)
    left = float(total) - sum(map(_picture_size, pictures))

    def stub(positions: list[int]) -> None:
        nonlocal left
        for i in positions:
            message = state.messages[i]
            if left <= target:
                return
            if message.tool_call_id in state.stubbed or sizes[i] < SHORTEST_CUT:
                continue
            text = _stub(message)
            stubs[message.tool_call_id] = text
            left -= sizes[i] - len(text)

    stub(old)
    if preserves_thinking and left <= KEEPS_THINKING * window / per_char:
        target = left
    for message in state.messages[: recent[0] if recent else 0]:
        if left <= target:
            break
        if message.tool_calls and message.tool_calls[0].id not in state.blanked:
            blanked.append(message.tool_calls[0].id)
            left -= len(message.reasoning) + len(message.content)
    if force:
        stub(recent[:-1])
        if not (stubs or blanked or pictures):
            stub(recent[-1:])
    if not (stubs or blanked or pictures):
        return None
    return ContextCut(
        stubs=stubs,
        blanked=tuple(blanked),
        pictures=tuple(picture.id for picture in pictures),
        restated=restate(state),
        prompt_tokens_before=state.prompt_tokens,
    )


def _stub(message: Message) -> str:
    first = message.content.split("\n", 1)[0][:80]
    lines = message.content.count("\n") + 1
    log_id = log_id_of(message.tool_call_id)
    return f"[{lines} lines of output removed; they are log {log_id} and began: {first}]"


def _size(message: Message) -> int:
    calls = sum(len(c.arguments) + len(c.id) + len(c.name) for c in message.tool_calls)
    pictures = sum(map(_picture_size, message.pictures))
    return len(message.content) + len(message.reasoning) + calls + pictures + 20


def _picture_size(picture: Picture) -> int:
    return int(picture.tokens * ASSUMED_CHARS_PER_TOKEN)
