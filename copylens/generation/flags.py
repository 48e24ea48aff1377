"""Flags on a text that is being written: what is said of it now, without flicker, and what to do.

A verdict on few tokens is unsure, so verdicts in a row may disagree. A flag is raised when one
names a source with a clear share, or when several in a row say the same; it then stands until the
same happens for something else.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from copylens.errors import ConfigError
from copylens.records import Decision, Verdict


@dataclass(frozen=True)
class Flag:
    """What is said of a text from here on.

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
    def says(self) -> tuple[Decision, str | None]:
        """What makes two flags differ."""
        return self.decision, self.sub_dataset


@dataclass(frozen=True)
class Block:
    """Why a text may not go on.

    Attributes:
        reason: one line for whoever asked for the text.
        sub_dataset, holder: the source, where one is named.
    """

    reason: str
    sub_dataset: str | None = None
    holder: str | None = None


Policy = Callable[[Verdict, Flag | None], Block | None]
"""Asked after every verdict, with the flag that stands by then; a `Block` ends the text."""


class FlagKeeper:
    """Raises a flag that does not stand yet, when it is sure enough.

    Attributes:
        standing: None until the first one is raised.
    """

    def __init__(self, confirm: int = 2, clear: float = 0.6):
        """Nothing stands.

        Args:
            confirm: verdicts in a row that must say the same ...
            clear: ... unless one names a source that has this part of all that is registered.
        """
        self._confirm, self._clear = confirm, clear
        self._candidate: tuple[Decision, str | None] | None = None
        self._count = 0
        self.standing: Flag | None = None

    def update(self, verdict: Verdict, tokens: int, final: bool = False) -> Flag | None:
        """The flag that this verdict raises, if any.

        Args:
            tokens: written so far.
            final: no verdict will follow, so this one needs no confirmation.
        """
        flag = flag_of(verdict, tokens)
        self._count = self._count + 1 if flag.says == self._candidate else 1
        self._candidate = flag.says
        if self.standing is not None and flag.says == self.standing.says:
            return None
        clear = flag.sub_dataset is not None and flag.share >= self._clear * _registered(verdict)
        if self._count < self._confirm and not clear and not final:
            return None
        self.standing = flag
        return flag


def flag_of(verdict: Verdict, tokens: int) -> Flag:
    """What a verdict alone would flag."""
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


def _registered(verdict: Verdict) -> float:
    return 1 - verdict.unregistered


def known_sources(names: Collection[str], known: Collection[str]) -> Collection[str]:
    """The names, if the model knows all of them: a misspelt one would block nothing, unnoticed.

    Raises:
        ConfigError: one is unknown.
    """
    for name in names:
        if name not in known:
            raise ConfigError(
                f"no sub-dataset '{name}' is registered; there are {', '.join(known)}"
            )
    return names


def block_sources(sub_datasets: Collection[str] = (), share: float = 0.5) -> Policy:
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
