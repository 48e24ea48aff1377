"""Fits the reader of the attention states that the configuration names."""

from collections.abc import Callable

from copylens.attributor.attention.dataset import StateSet
from copylens.attributor.attention.reader import Reader
from copylens.attributor.attention.ridge import RidgeSettings, fit_ridge
from copylens.attributor.attention.training import Progress, fit_network
from copylens.config.schema import AttributorConfig


def fit_reader(
    train: StateSet,
    val: StateSet,
    classes: int,
    config: AttributorConfig,
    seed: int,
    resume: Progress | None = None,
    on_epoch: Callable[[Progress], None] = lambda progress: None,
    device: str = "cpu",
    chosen: dict[str, float] | None = None,
) -> tuple[Reader, list[dict[str, float]]]:
    """The reader and its curve: an entry per epoch, or the one of a ridge regression.

    Args:
        val: decides when an LSTM has been trained enough.
        classes: K.
        resume, on_epoch, device: of an LSTM; see `fit_network`.
        chosen: of a ridge regression, the settings of a fit on more passages.
    """
    if config.reader == "ridge":
        settings = RidgeSettings(**chosen) if chosen else None
        reader, settings = fit_ridge(train, classes, seed, settings)
        return reader, [vars(settings)]
    network, progress = fit_network(
        train, val, classes, config, seed, resume=resume, on_epoch=on_epoch, device=device
    )
    return network, progress.curve
