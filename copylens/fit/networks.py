"""Fits what reads the states: the attention channel, whole and per fold, exposure, and projector.

They are fitted one after the other. After every epoch the state can be saved; a later call goes on
from there.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from copylens.attributor.attention.dataset import StateSet, state_set
from copylens.attributor.attention.exposure import Left, fit_exposures
from copylens.attributor.attention.fit import fit_reader
from copylens.attributor.attention.reader import Reader, build_reader
from copylens.attributor.attention.training import Progress
from copylens.config.schema import RunConfig
from copylens.detector.projector import Projector, ProjectorShape, fit_projector
from copylens.fit.cross_fit import CrossFit, unregistered_parts
from copylens.fit.data import TextSet, TrainingData

_PROJECTOR = "projector"


@dataclass
class FitState:
    """What has been fitted so far; all that a resume needs.

    Attributes:
        finished: fit name -> {"shape", "state"} of a network, or of the projector.
        curves: fit name -> per epoch losses and accuracy.
        current: progress of the fit that is under way.
    """

    finished: dict[str, dict[str, Any]] = field(default_factory=dict)
    curves: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    current: Progress | None = None

    def to_bytes(self) -> bytes:
        """Tensors and plain values only; read back without executing pickled code."""
        buffer = io.BytesIO()
        current = None if self.current is None else vars(self.current)
        torch.save({"finished": self.finished, "curves": self.curves, "current": current}, buffer)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "FitState":
        """The inverse of `to_bytes`."""
        values = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        current = values["current"]
        return cls(
            finished=values["finished"],
            curves=values["curves"],
            current=None if current is None else Progress(**current),
        )

    def keep(self, name: str, module: Reader | Projector) -> None:
        """Adds a finished reader or projector."""
        self.finished[name] = {"shape": vars(module.shape), "state": module.state_dict()}
        self.current = None

    def reader(self, fold: int | None = None) -> Reader | None:
        """The attention channel's reader fitted without a fold of train (None: on all of it).

        None where it has not been fitted.
        """
        return self._reader(fit_name(fold))

    def exposure(self, fold: int | None = None, part: int | None = None) -> Reader | None:
        """The exposure fitted without a fold of train and without a part of the unregistered
        passages; None where there is none.
        """
        return self._reader(_exposure_name((fold, part)))

    def _reader(self, name: str) -> Reader | None:
        saved = self.finished.get(name)
        if saved is None:
            return None
        reader = build_reader(saved["shape"])
        reader.load_state_dict(saved["state"])
        return reader.eval()

    def projector(self) -> Projector | None:
        """The detector's projector; None where it has not been fitted."""
        saved = self.finished.get(_PROJECTOR)
        if saved is None:
            return None
        projector = Projector(ProjectorShape(**saved["shape"]))
        projector.load_state_dict(saved["state"])
        return projector.eval()


OnEpoch = Callable[[FitState, str], None]
"""Called with the state and the name of the fit that is under way."""


def fit_name(fold: int | None) -> str:
    """The key under which a network and its curve are kept."""
    return "attention" if fold is None else f"attention/without_fold_{fold}"


def _exposure_name(left: Left) -> str:
    fold, part = left
    name = "exposure" if fold is None else f"exposure/without_fold_{fold}"
    return name if part is None else f"{name}/without_part_{part}"


def fit_networks(
    config: RunConfig,
    data: TrainingData,
    state: FitState,
    on_epoch: OnEpoch = lambda state, name: None,
    device: str = "cpu",
) -> FitState:
    """Fits every network that `state` lacks; none where the attention channel is off.

    They learn from those training passages alone that the LM has read.
    """
    if not config.channels.attention:
        return state
    read = data.train.read
    cross_fit = CrossFit.plan(config, data.train, data.val).of_train(read)
    data = data.with_train(read)
    for number, fold in enumerate(cross_fit.fits):
        name = fit_name(fold)
        if name in state.finished:
            continue

        def report(progress: Progress, name: str = name) -> None:
            state.current = progress
            on_epoch(state, name)

        reader, curve = fit_reader(
            _state_set(data.train.subset(cross_fit.kept(fold))),
            _state_set(data.val),
            data.classes,
            config.attributor,
            config.seed + number,
            resume=state.current,
            on_epoch=report,
            device=device,
            like=None if fold is None else state.reader(),
        )
        state.keep(name, reader)
        state.curves[name] = curve
    _fit_exposures(data, cross_fit, state)
    _fit_projector(config, data.train, cross_fit, state)
    return state


def _fit_exposures(data: TrainingData, cross_fit: CrossFit, state: FitState) -> None:
    """None where no part of the unregistered passages can be held out, to be calibrated on."""
    parts = unregistered_parts(data.ood_val)
    if not parts or _exposure_name((None, None)) in state.finished:
        return
    sets = _state_set(data.train), _state_set(data.ood_val)
    for left, reader in fit_exposures(*sets, cross_fit.train, parts):
        state.keep(_exposure_name(left), reader)


def _fit_projector(config: RunConfig, train: TextSet, cross_fit: CrossFit, state: FitState) -> None:
    """Fits the projector if it is asked for, unless val is judged by fits per fold: the detector's
    space belongs to the reader fitted on all of train.
    """
    reader = state.reader()
    asked = config.detector.projector and not cross_fit.folds
    if reader is None or _PROJECTOR in state.finished or not asked:
        return
    state.keep(
        _PROJECTOR,
        fit_projector(reader, train.states, train.labels, config.detector, config.seed),
    )


def _state_set(texts: TextSet) -> StateSet:
    values = [item.values for item in texts.states]
    return state_set(values, texts.labels, texts.group_index)
