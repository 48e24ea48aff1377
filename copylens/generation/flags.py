"""Flags on a text while it is generated: debounced verdicts, and policies that end the text.

Verdicts on few tokens are uncertain, so successive ones may disagree. A flag is raised when one
verdict names a source with a clear share, or when several in a row agree; it holds until the same
happens for another source or decision.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from copylens.errors import ConfigError
from copylens.records import Decision, Verdict


@dataclass(frozen=True)
class Flag:
    """A finding that holds for a text from a certain token on.

    It may also be that the text draws on nothing registered, or that this cannot be told: such a
    flag names no source, and blocks nothing.

    Attributes:
        decision: as in the verdicts that confirmed it.
        sub_dataset, holder: the source; None unless the decision is `registered`.
        share: of the source, in [0, 1]; of the largest sub-dataset where no source is named.
        p_value: of the last of these verdicts, in (0, 1].
        tokens: written when the flag was raised.
    """

    decision: Decision
    sub_dataset: str | None
    holder: str | None
    share: float
    p_value: float
    tokens: int

    @property
    def content(self) -> tuple[Decision, str | None]:
        """Decision and source: flags that agree in both are the same flag."""
        return self.decision, self.sub_dataset


@dataclass(frozen=True)
class Block:
    """Why a text was ended.

    Attributes:
        reason: one line for the user.
        sub_dataset, holder: the source; None where none is named.
    """

    reason: str
    sub_dataset: str | None = None
    holder: str | None = None


BlockingPolicy = Callable[[Verdict, Flag | None], Block | None]
"""Called after every verdict with the flag that holds then; a `Block` ends the text."""


class FlagDebouncer:
    """Raises a new flag once enough verdicts confirm it.

    Attributes:
        current: the flag that holds; None until the first one is raised.
    """

    def __init__(self, confirm: int = 2, clear: float = 0.6):
        """No flag holds at first.

        Args:
            confirm: verdicts in a row that must agree ...
            clear: ... unless one names a source that has this part of the registered shares.
        """
        self._confirm, self._clear = confirm, clear
        self._candidate: tuple[Decision, str | None] | None = None
        self._count = 0
        self.current: Flag | None = None

    def update(self, verdict: Verdict, tokens: int, final: bool = False) -> Flag | None:
        """The flag that this verdict raises, if any.

        Args:
            tokens: written so far.
            final: no verdict will follow, so this one needs no confirmation.
        """
        flag = flag_of(verdict, tokens)
        self._count = self._count + 1 if flag.content == self._candidate else 1
        self._candidate = flag.content
        if self.current is not None and flag.content == self.current.content:
            return None
        clear = flag.sub_dataset is not None and flag.share >= self._clear * (
            1 - verdict.unregistered
        )
        if self._count < self._confirm and not clear and not final:
            return None
        self.current = flag
        return flag


def flag_of(verdict: Verdict, tokens: int) -> Flag:
    """The flag that a verdict supports by itself."""
    top = verdict.shares[0]
    named = verdict.decision == "registered"
    return Flag(
        decision=verdict.decision,
        sub_dataset=top.sub_dataset if named else None,
        holder=top.holder if named else None,
        share=top.share,
        p_value=verdict.p_value,
        tokens=tokens,
    )


def known_sources(names: Collection[str], known: Collection[str]) -> Collection[str]:
    """The names, checked: a misspelt one would block nothing without an error.

    Raises:
        ConfigError: one is unknown.
    """
    for name in names:
        if name not in known:
            raise ConfigError(
                f"no sub-dataset '{name}' is registered; there are {', '.join(known)}"
            )
    return names


def block_sources(sub_datasets: Collection[str] = (), share: float = 0.5) -> BlockingPolicy:
    """A policy that ends a text once a flag names one of these sources.

    Args:
        sub_datasets: empty = any registered one.
        share: of the source, at least, in [0, 1].
    """

    def policy(_verdict: Verdict, flag: Flag | None) -> Block | None:
        if flag is None or flag.sub_dataset is None or flag.share < share:
            return None
        if sub_datasets and flag.sub_dataset not in sub_datasets:
            return None
        return Block(
            f"the text draws on {flag.sub_dataset} ({flag.holder}), share {flag.share:.2f}",
            flag.sub_dataset,
            flag.holder,
        )

    return policy
