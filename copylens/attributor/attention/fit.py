"""Fits the reader of the attention states that the configuration names."""

from collections.abc import Callable

from copylens.attributor.attention.dataset import StateSet
from copylens.attributor.attention.reader import Reader
from copylens.attributor.attention.ridge import RidgeReader, fit_ridge
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
    like: Reader | None = None,
) -> tuple[Reader, list[dict[str, float]]]:
    """The reader and its curve: an entry per epoch, or the one of a ridge regression.

    Args:
        val: decides when an LSTM has been trained enough.
        classes: K.
        resume, on_epoch, device: of an LSTM; see `fit_network`.
        like: of a ridge regression, one on more passages, whose settings it takes over.
    """
    if config.reader == "ridge":
        settings = like.settings if isinstance(like, RidgeReader) else None
        reader, right = fit_ridge(train, classes, seed, settings)
        held_out = {} if right is None else {"held_out_accuracy": right}
        return reader, [vars(reader.settings) | held_out]
    network, progress = fit_network(
        train, val, classes, config, seed, resume=resume, on_epoch=on_epoch, device=device
    )
    return network, progress.curve
