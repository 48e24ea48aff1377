"""A scorer that says what it is told to, over a real tiny LM."""

from types import SimpleNamespace
from typing import TYPE_CHECKING

from copylens.errors import LevelError
from copylens.records import Decision, ModelIdentity, Share, Verdict

if TYPE_CHECKING:
    from copylens.probe.probe import Probe

IDENTITY = ModelIdentity("scripted", "1", "lms/tiny", None)
SMALLEST_P = 0.004


def verdict(source: str, share: float = 0.5, decision: Decision = "registered") -> Verdict:
    # Half of the text is no clear share: such a verdict alone raises no flag.
    other = "law" if source == "sea" else "sea"
    rows = ((source, share), (other, 0.9 - share))
    return Verdict(
        text_sha256="0" * 64,
        decision=decision,
        abstain_reason="no sub-dataset is ahead" if decision == "abstain" else None,
        p_value=0.6,
        ood_score=0.5,
        shares=tuple(
            Share(name, f"{name.title()} Press", "all rights reserved", part, 0.0, 1.0, quoted=0.25)
            for name, part in rows
        ),
        unregistered=0.1,
        timeline=(),
        model=IDENTITY,
        tokens=7,
    )


class ScriptedScorer:
    """Gives its verdicts in turn, the last one again and again, and notes what it was asked.

    Attributes:
        judged: texts and states that were at hand.
        asked: texts alone.
    """

    def __init__(self, probe: "Probe", says: list[Verdict] | None = None):
        self.probe = probe
        self.config = SimpleNamespace(probe=probe.config)
        self.identity = IDENTITY
        self.rights = {"sea": None, "law": None}
        self.says = says or [verdict("sea")]
        self.judged: list = []
        self.asked: list[str] = []

    def level(self, alpha):
        if alpha is not None and alpha < SMALLEST_P:
            raise LevelError(f"alpha must be above {SMALLEST_P}, got {alpha}", SMALLEST_P)
        return 0.05 if alpha is None else alpha

    def judge(self, texts, states, alpha=None):
        self.judged += list(zip(texts, states))
        return [self._next() for _ in texts]

    def verdicts(self, texts, alpha=None):
        self.asked += texts
        return [self._next() for _ in texts]

    def _next(self) -> Verdict:
        return self.says.pop(0) if len(self.says) > 1 else self.says[0]
