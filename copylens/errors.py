"""Errors a user can cause: one clear line each (what, where, limit, what to do)."""


def one_line(error: object) -> str:
    """The message of an error, or any text, without line breaks."""
    return " ".join(str(error).split())


class CopyLensError(Exception):
    """A mistake in the input. The command line prints its message and exits with code 2."""


class ConfigError(CopyLensError):
    """An unknown key, a value outside its range, or a config file that cannot be read."""


class CorpusError(CopyLensError):
    """A corpus as a whole cannot be used. Single bad rows go to quarantine instead."""


class ProbeError(CopyLensError):
    """The language model is missing, of an unknown architecture, or has no such layer."""


class ModelError(CopyLensError):
    """A saved scorer is missing, damaged, or does not fit the data."""


class StorageError(CopyLensError):
    """A place for files cannot be read or written: no bucket, no rights, no server."""


class TextError(CopyLensError):
    """A text that cannot be scored: empty, blank, or not text at all."""


class LevelError(TextError):
    """A request's false-alarm level is stricter than the model's calibration allows.

    Attributes:
        smallest: the smallest level that it allows.
    """

    def __init__(self, message: str, smallest: float):
        super().__init__(message)
        self.smallest = smallest


class SettlementError(CopyLensError):
    """A log of verdicts, a contract or a pool that no statement can be made of."""
