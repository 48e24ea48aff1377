"""Shares over a log of verdicts -> who is owed what: the statement."""

from copylens.settlement.log import VerdictLog, read_log
from copylens.settlement.scoring_version import ScoringVersion, read_scoring_version
from copylens.settlement.statement import Terms, make_statement

__all__ = [
    "ScoringVersion",
    "Terms",
    "VerdictLog",
    "make_statement",
    "read_log",
    "read_scoring_version",
]
