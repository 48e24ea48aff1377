"""Shares over a log of verdicts -> who is owed what: the statement."""

from copylens.settlement.grounds import Grounds, read_grounds
from copylens.settlement.log import VerdictLog, read_log
from copylens.settlement.statement import Terms, make_statement

__all__ = ["Grounds", "Terms", "VerdictLog", "make_statement", "read_grounds", "read_log"]
