"""Verdicts while the LM generates a text.

Running verdicts use the states of the generating passes themselves (`probe.stream`): they cost no
further pass, and every token has attended to the prompt. The final verdict uses a fresh pass over
the generated text alone, so it is the same that a later request about that text gets.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from copylens.errors import ConfigError
from copylens.generation.flags import Block, BlockingPolicy, Flag, FlagDebouncer
from copylens.probe.detokenize import Detokenizer
from copylens.probe.stream import StateStream
from copylens.probe.writer import Writer, prompt_tokens
from copylens.records import Verdict
from copylens.verdict.scorer import Scorer

Finish = Literal["stop", "length", "blocked"]

# The cost of a verdict grows with the text, so verdicts get rarer: the next one comes only after
# the text has grown by this factor. With a small LM a verdict costs as much as several tokens, and
# more of them find no more flags (docs/generation.md).
_GROWTH = 3.0


@dataclass(frozen=True)
class LiveStep:
    """One step of a generation: a token, or the end.

    Attributes:
        piece: characters added since the step before.
        text: all that the LM has written so far, without the prompt.
        verdict: None at steps that were not scored; else a running one of the tokens so far, or,
            where `finish` is set, that of `text`.
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
    policy: BlockingPolicy | None = None,
    confirm: int = 2,
    alpha: float | None = None,
) -> Iterator[LiveStep]:
    """Lets the probe LM continue a prompt, and scores the generated text on a schedule.

    The prompt is the user's, so it is not scored. The last step always carries a verdict, unless
    the LM wrote nothing but blanks. The same seed gives the same text, verdicts and flags.

    Args:
        max_tokens: at most; the LM's context ends the text before.
        every: tokens between two verdicts, at least; see `Schedule`.
        temperature, top_p: see `Writer`.
        stop: the text ends before the first of these; none of them is shown.
        policy: may end the text; None = nothing does.
        confirm: verdicts in a row that it takes to raise a flag; see `FlagDebouncer`.
        alpha: false-alarm level; default: `calibration.alpha`.

    Raises:
        LevelError: `alpha` is below what the scorer allows.
        TextError: the prompt is empty.
        ProbeError: the LM is an encoder, which cannot write.
        ConfigError: an option is outside its range.
    """
    if min(max_tokens, every, confirm) < 1:
        raise ConfigError("max_tokens, every and confirm must be at least 1")
    scorer.level(alpha)
    lm = scorer.probe.lm
    ids = prompt_tokens(lm, prompt)
    words, cutter = Detokenizer(lm.tokenizer), StopCutter(stop)
    stream = StateStream(scorer.probe, len(ids), words)
    writer = Writer(lm, ids, stream, temperature, top_p, seed)
    limit = min(max_tokens, lm.context - len(ids))
    schedule = Schedule(every, limit=limit)
    monitor = Monitor(scorer, stream, policy, confirm, alpha)
    with stream.attached():
        tokens, finish = yield from _steps(writer, words, cutter, schedule, monitor, limit)
    yield _last(monitor, cutter, tokens, finish)


def _steps(
    writer: Writer,
    words: Detokenizer,
    cutter: "StopCutter",
    schedule: "Schedule",
    monitor: "Monitor",
    limit: int,
) -> Generator[LiveStep, None, tuple[int, Finish]]:
    """All steps but the last; returns the number of tokens and why it ended."""
    for tokens in range(1, limit + 1):
        token = writer.draw()
        if writer.is_end(token):
            return tokens - 1, "stop"
        piece = cutter.add(words.add(token))
        observed = Observation()
        if schedule.due(tokens) and not cutter.stopped and cutter.text.strip():
            writer.catch_up()
            observed = monitor.observe()
        yield LiveStep(
            piece, cutter.text, observed.verdict, tokens, observed.flag, observed.blocked
        )
        if observed.blocked is not None:
            return tokens, "blocked"
        if cutter.stopped:
            return tokens, "stop"
    return limit, "length"


def _last(monitor: "Monitor", cutter: "StopCutter", tokens: int, finish: Finish) -> LiveStep:
    """The final step: text that was held back, and the verdict on the text alone."""
    # After a block no further text is released.
    rest = "" if finish == "blocked" else cutter.rest()
    text = cutter.text
    if not text.strip():
        return LiveStep(rest, text, None, tokens, finish=finish)
    observed = monitor.final(text, tokens)
    # The final verdict may block a text too, unless it was blocked before.
    blocked = observed.blocked if finish != "blocked" else None
    finish = "blocked" if blocked else finish
    return LiveStep(rest, text, observed.verdict, tokens, observed.flag, blocked, finish)


@dataclass(frozen=True)
class Observation:
    """Verdict, flag and block at one step; all None at a step that was not scored."""

    verdict: Verdict | None = None
    flag: Flag | None = None
    blocked: Block | None = None


class Schedule:
    """When a growing text is scored: every `every` tokens at first, then at growing intervals.

    All verdicts together cost about as much as a few on the whole text. An interval is a multiple
    of `every`, so that windows are whole where `every` is a multiple of the window.
    """

    def __init__(self, every: int, growth: float = _GROWTH, limit: int | None = None):
        """Starts before the first token.

        Args:
            growth: part by which the text must grow between two verdicts.
            limit: tokens at which the text ends; not scored, since the final verdict follows.
        """
        self._every, self._growth, self._next, self._limit = every, growth, every, limit

    def due(self, tokens: int) -> bool:
        """Whether to score now; to be called once per token."""
        if tokens < self._next or tokens == self._limit:
            return False
        gaps = max(1, int(tokens * self._growth) // self._every)
        self._next = tokens + gaps * self._every
        return True


class Monitor:
    """Scores a stream, updates its flag and applies the policy."""

    def __init__(
        self,
        scorer: Scorer,
        stream: StateStream,
        policy: BlockingPolicy | None = None,
        confirm: int = 2,
        alpha: float | None = None,
    ):
        self._scorer, self._stream = scorer, stream
        self._policy, self._alpha = policy, alpha
        self._debouncer = FlagDebouncer(confirm)

    def observe(self) -> Observation:
        """A running verdict on the tokens that the stream holds."""
        text, states = self._stream.read()
        verdict = self._scorer.judge([text], [states], self._alpha)[0]
        return self._observation(verdict, states.tokens)

    def final(self, text: str, tokens: int) -> Observation:
        """The verdict on the whole text, by a fresh pass."""
        verdict = self._scorer.verdicts([text], self._alpha)[0]
        return self._observation(verdict, tokens, final=True)

    def _observation(self, verdict: Verdict, tokens: int, final: bool = False) -> Observation:
        flag = self._debouncer.update(verdict, tokens, final)
        blocked = self._policy(verdict, self._debouncer.current) if self._policy else None
        return Observation(verdict, flag, blocked)


class StopCutter:
    """Ends a text before a stop string; holds back a suffix that may be the beginning of one.

    Ours, since the stop criteria of transformers only see a stop string once it is complete.

    Attributes:
        text: released so far.
        stopped: a stop string was found; nothing more is released.
    """

    def __init__(self, stop: Sequence[str]):
        """Empty strings are ignored."""
        self._stop = tuple(filter(None, stop))
        self._held = ""
        self.text = ""
        self.stopped = False

    def add(self, piece: str) -> str:
        """Adds a piece; returns what is released of it and of the text held back before."""
        if self.stopped:
            return ""
        self._held += piece
        ends = [place for word in self._stop if (place := self._held.find(word)) >= 0]
        self.stopped = bool(ends)
        return self._release(min(ends) if ends else len(self._held) - self._partial_stop())

    def rest(self) -> str:
        """Releases the text held back, at the end of the generation."""
        return "" if self.stopped else self._release(len(self._held))

    def _partial_stop(self) -> int:
        """Length of the longest suffix that begins a stop string."""
        longest = max((len(word) - 1 for word in self._stop), default=0)
        for size in range(min(longest, len(self._held)), 0, -1):
            if any(word.startswith(self._held[-size:]) for word in self._stop):
                return size
        return 0

    def _release(self, size: int) -> str:
        shown, self._held = self._held[:size], self._held[size:]
        self.text += shown
        return shown
