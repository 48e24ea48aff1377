"""Verdicts while the LM writes: the text grows, and so does what can be said of it.

Running verdicts come from the states of the writing passes themselves (`probe.stream`): they cost
no pass, and every token has seen the prompt. The final verdict comes from a fresh pass over the
whole written text alone, so that it is the verdict anybody gets who asks about that text later.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from copylens.errors import ConfigError
from copylens.generation.flags import Block, Flag, FlagKeeper, Policy
from copylens.probe.detokenize import Detokenizer
from copylens.probe.stream import StateStream
from copylens.probe.writer import Writer, prompt_tokens
from copylens.records import Verdict
from copylens.verdict.scorer import Scorer

Finish = Literal["stop", "length", "blocked"]

# A verdict costs more the longer the text is, so the longer it is the rarer they come: never
# before the text has grown by this part since the last one. Beside a small LM a verdict costs as
# much as several tokens, and more of them find no more flags (docs/generation.md).
_GROWTH = 3.0


@dataclass(frozen=True)
class LiveStep:
    """What the LM has just written.

    Attributes:
        piece: characters added since the step before.
        text: all that the LM has written so far, without the prompt.
        verdict: None at the steps in between, where nothing was scored; else a running one of the
            tokens so far, or, where `finish` is set, that of `text`.
        tokens: written so far.
        flag: set where one is raised at this step.
        blocked: set where the policy ends the text.
        finish: set at the last step: `stop` (end token or stop string), `length` (max_tokens or
            the LM's context), `blocked`.
    """

    piece: str
    text: str
    verdict: Verdict | None
    tokens: int = 0
    flag: Flag | None = None
    blocked: Block | None = None
    finish: Finish | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready values, without `piece`."""
        row = asdict(self) | {"verdict": self.verdict and self.verdict.to_dict()}
        del row["piece"]
        return row


def generate(
    scorer: Scorer,
    prompt: str,
    max_tokens: int = 200,
    every: int = 64,
    temperature: float = 0.8,
    seed: int = 0,
    top_p: float = 1.0,
    stop: Sequence[str] = (),
    policy: Policy | None = None,
    confirm: int = 2,
    alpha: float | None = None,
) -> Iterator[LiveStep]:
    """Lets the probe LM continue a prompt, and scores what it has written now and then.

    The prompt is the user's, so it is not scored. The last step always carries a verdict, unless
    the LM wrote nothing but blanks. The same seed gives the same text, verdicts and flags.

    Args:
        max_tokens: at most; the LM's context ends the text before.
        every: tokens between two verdicts, at least; see `Schedule`.
        temperature, top_p: see `Writer`.
        stop: the text ends before the first of these; none of them is shown.
        policy: may end the text; None = nothing does.
        confirm: verdicts in a row that it takes to raise a flag; see `FlagKeeper`.
        alpha: false-alarm level; default: `calibration.alpha`.

    Raises:
        TextError: the prompt is empty.
        ProbeError: the LM is an encoder, which cannot write.
        ConfigError: an option is outside its range.
    """
    if min(max_tokens, every, confirm) < 1:
        raise ConfigError("max_tokens, every and confirm must be at least 1")
    lm = scorer.probe.lm
    ids = prompt_tokens(lm, prompt)
    words, cutter = Detokenizer(lm.tokenizer), StopCutter(stop)
    stream = StateStream(scorer.probe, len(ids), words)
    writer = Writer(lm, ids, stream, temperature, top_p, seed)
    limit = min(max_tokens, lm.context - len(ids))
    watch = Watch(scorer, stream, Schedule(every, limit=limit), policy, confirm, alpha)
    with stream.attached():
        tokens, finish = yield from _steps(writer, words, cutter, watch, limit)
    yield _last(watch, cutter, tokens, finish)


def _steps(
    writer: Writer, words: Detokenizer, cutter: "StopCutter", watch: "Watch", limit: int
) -> Generator[LiveStep, None, tuple[int, Finish]]:
    """All steps but the last; returns the number of tokens and why it ended."""
    for tokens in range(1, limit + 1):
        token = writer.draw()
        if writer.is_end(token):
            return tokens - 1, "stop"
        piece = cutter.add(words.add(token))
        look = NOTHING
        if watch.due(tokens) and not cutter.stopped and cutter.text.strip():
            writer.catch_up()
            look = watch.look()
        yield LiveStep(piece, cutter.text, look.verdict, tokens, look.flag, look.blocked)
        if look.blocked is not None:
            return tokens, "blocked"
        if cutter.stopped:
            return tokens, "stop"
    return limit, "length"


def _last(watch: "Watch", cutter: "StopCutter", tokens: int, finish: Finish) -> LiveStep:
    """The final step: what was held back, and the verdict on the text alone."""
    # What a policy ended shows no more of itself.
    rest = "" if finish == "blocked" else cutter.rest()
    text = cutter.text
    if not text.strip():
        return LiveStep(rest, text, None, tokens, finish=finish)
    look = watch.final(text, tokens)
    # A text that is at its end can still be refused, but only once.
    blocked = look.blocked if finish != "blocked" else None
    return LiveStep(
        rest, text, look.verdict, tokens, look.flag, blocked, "blocked" if blocked else finish
    )


@dataclass(frozen=True)
class Look:
    """What was found at one point of a text; nothing where nobody looked."""

    verdict: Verdict | None = None
    flag: Flag | None = None
    blocked: Block | None = None


NOTHING = Look()


class Schedule:
    """When a growing text is scored: after every `every` tokens at first, then ever more rarely.

    All verdicts together so cost about as much as few on the whole text. The gap is a multiple of
    `every`, so that windows are whole where `every` is a multiple of the window.
    """

    def __init__(self, every: int, growth: float = _GROWTH, limit: int | None = None):
        """Nothing was scored yet.

        Args:
            growth: part by which the text must grow between two verdicts.
            limit: tokens at which the text ends. Nothing is due there: the final verdict follows.
        """
        self._every, self._growth, self._next, self._limit = every, growth, every, limit

    def due(self, tokens: int) -> bool:
        """Whether to score now; asked once per token."""
        if tokens < self._next or tokens == self._limit:
            return False
        gaps = max(1, int(tokens * self._growth) // self._every)
        self._next = tokens + gaps * self._every
        return True


class Watch:
    """Scores a stream now and then, keeps its flag and asks the policy."""

    def __init__(
        self,
        scorer: Scorer,
        stream: StateStream,
        schedule: Schedule,
        policy: Policy | None = None,
        confirm: int = 2,
        alpha: float | None = None,
    ):
        self._scorer, self._stream, self._schedule = scorer, stream, schedule
        self._policy, self._alpha = policy, alpha
        self._keeper = FlagKeeper(confirm)

    def due(self, tokens: int) -> bool:
        """Whether the schedule wants a verdict after so many tokens; asked once per token."""
        return self._schedule.due(tokens)

    def look(self) -> Look:
        """A running verdict on what the stream has read."""
        text, states = self._stream.read()
        return self._found(self._scorer.judge([text], [states], self._alpha)[0], states.tokens)

    def final(self, text: str, tokens: int) -> Look:
        """The verdict on the whole text, by a fresh pass."""
        verdict = self._scorer.verdicts([text], self._alpha)[0]
        return self._found(verdict, tokens, final=True)

    def _found(self, verdict: Verdict, tokens: int, final: bool = False) -> Look:
        flag = self._keeper.update(verdict, tokens, final)
        blocked = self._policy(verdict, self._keeper.standing) if self._policy else None
        return Look(verdict, flag, blocked)


class StopCutter:
    """Ends a text before a stop string, and holds back what may be the beginning of one.

    Attributes:
        text: what was let through.
        stopped: a stop string was written; nothing is let through any more.
    """

    def __init__(self, stop: Sequence[str]):
        """Empty strings stop nothing."""
        self._stop = tuple(filter(None, stop))
        self._held = ""
        self.text = ""
        self.stopped = False

    def add(self, piece: str) -> str:
        """Takes a piece; what may be shown of it and of what was held back before."""
        if self.stopped:
            return ""
        self._held += piece
        ends = [place for word in self._stop if (place := self._held.find(word)) >= 0]
        self.stopped = bool(ends)
        return self._let(min(ends) if ends else len(self._held) - self._unsure())

    def rest(self) -> str:
        """What was held back, now that no stop string can complete it."""
        return "" if self.stopped else self._let(len(self._held))

    def _unsure(self) -> int:
        """Characters at the end that may be the beginning of a stop string."""
        longest = max((len(word) - 1 for word in self._stop), default=0)
        for size in range(min(longest, len(self._held)), 0, -1):
            if any(word.startswith(self._held[-size:]) for word in self._stop):
                return size
        return 0

    def _let(self, size: int) -> str:
        shown, self._held = self._held[:size], self._held[size:]
        self.text += shown
        return shown
