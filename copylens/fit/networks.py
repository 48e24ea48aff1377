"""The train stage without its cluster: data in, fitted networks out, then the whole model.

The networks are fitted one after the other, each once on all of train and, where val shares split
groups with train, once without each part. After every epoch the state can be saved; a later call
goes on from there.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from copylens.attributor.attention.dataset import StateSet, label_index, state_set
from copylens.attributor.attention.network import AttributorNetwork, NetworkShape
from copylens.attributor.attention.training import Progress, fit_network
from copylens.attributor.attributor import channel_values
from copylens.config.schema import RunConfig
from copylens.corpus import load_manifest, read_split, shard_uris
from copylens.detector.projector import Projector, ProjectorShape, fit_projector
from copylens.errors import ConfigError, ModelError
from copylens.fit.assembly import FittedModel, assemble
from copylens.fit.held_out import TextSet, split_parts
from copylens.records import REGISTERED_SPLITS, SplitName
from copylens.states.mapped import map_states
from copylens.states.shards import published, shard_uri

MOST_PASSAGES = 25_000
"""Of the train split. A kernel of so many passages takes 5 GB, and a handful stand at once."""


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


@dataclass(frozen=True)
class NetworkFit:
    """One network to fit: a channel, on all of train (`part` None) or without one part of it."""

    channel: str
    part: int | None

    @property
    def name(self) -> str:
        """The key under which state and curve are kept."""
        return self.channel if self.part is None else f"{self.channel}/without_part_{self.part}"


def load_texts(output: str, split: SplitName, sub_datasets: Sequence[str]) -> TextSet:
    """A split's passages joined with their states, which stay on the local disk.

    Passages that embed put into quarantine are left out.

    Raises:
        ModelError: states and passages do not match; embed has not run on this corpus.
    """
    uris = [shard_uri(output, split, source) for source in shard_uris(output, split)]
    rows, refused = map_states(uris), sum(len(published(uri).quarantined) for uri in uris)
    embedded = {row.id for row in rows}
    passages = read_split(output, split)
    kept = [p for p in passages if p.id in embedded]
    if [p.id for p in kept] != [r.id for r in rows] or len(passages) != len(rows) + refused:
        raise ModelError(f"'{output}': states and passages of '{split}' differ; run embed")
    return TextSet(
        texts=tuple(p.text for p in kept),
        states=tuple(row.states for row in rows),
        labels=label_index(rows, sub_datasets)
        if split in REGISTERED_SPLITS
        else np.full(len(rows), -1, dtype=np.int64),
        groups=tuple(row.split_group for row in rows),
    )


def check_size(config: RunConfig) -> None:
    """Refuses a training split that would not fit into memory, before any of it is fitted.

    Raises:
        ConfigError: too many passages for the kernels [N, N] of the ridge experts.
    """
    count = sum(s.passages for s in load_manifest(config.output).shards if s.split == "train")
    ridge = config.channels.lexical or (config.channels.attention and config.probe.readout)
    if ridge and count > MOST_PASSAGES:
        raise ConfigError(
            f"the train split has {count:,} passages, the word experts take at most "
            f"{MOST_PASSAGES:,}; set corpus.max_passages (per sub-dataset) and ingest again"
        )


def network_fits(config: RunConfig, parts: int) -> list[NetworkFit]:
    """All network fits of a run, in order."""
    channels = [name for name in ("attention", "likelihood") if getattr(config.channels, name)]
    return [NetworkFit(channel, part) for channel in channels for part in (None, *range(parts))]


def fit_networks(
    config: RunConfig,
    classes: int,
    train: TextSet,
    val: TextSet,
    state: FitState,
    on_epoch: Callable[[FitState, NetworkFit], None],
    device: str = "cpu",
) -> FitState:
    """Fits every network that `state` lacks, then the projector; calls back after each epoch."""
    parts = split_parts(train, val, config.attributor.folds, config.seed)
    for fit in network_fits(config, parts.count):
        if fit.name in state.finished:
            continue
        keep = (
            np.flatnonzero(parts.train != fit.part)
            if fit.part is not None
            else np.arange(len(train))
        )

        def report(progress: Progress, fit: NetworkFit = fit) -> None:
            state.current = progress
            on_epoch(state, fit)

        network, progress = fit_network(
            _states_of(fit.channel, train.subset(keep)),
            _states_of(fit.channel, val),
            classes,
            config.attributor,
            config.seed + (0 if fit.part is None else 1 + fit.part),
            resume=state.current,
            on_epoch=report,
            device=device,
        )
        _keep(state, fit.name, network, progress.curve)
    _fit_projector(config, train, state, parts.count)
    return state


def fitted_networks(state: FitState, part: int | None) -> dict[str, AttributorNetwork]:
    """Channel -> network, of the whole fit or of one out-of-fold part."""
    networks = {}
    for channel in ("attention", "likelihood"):
        saved = state.finished.get(NetworkFit(channel, part).name)
        if saved is not None:
            network = AttributorNetwork(NetworkShape(**saved["shape"]))
            network.load_state_dict(saved["state"])
            networks[channel] = network.eval()
    return networks


def fitted_projector(state: FitState) -> Projector | None:
    """The detector's projector; None where no network channel is on."""
    saved = state.finished.get("projector")
    if saved is None:
        return None
    projector = Projector(ProjectorShape(**saved["shape"]))
    projector.load_state_dict(saved["state"])
    return projector.eval()


def finish(config: RunConfig, state: FitState) -> FittedModel:
    """Fits what is no network, on the run's data, and calibrates the whole."""
    names = load_manifest(config.output).sub_datasets
    train, val, ood_val = (load_texts(config.output, s, names) for s in ("train", "val", "ood_val"))
    background = [passage.text for passage in read_split(config.output, "background")]
    return fitted_model(config, names, state, train, val, ood_val, background)


def fitted_model(
    config: RunConfig,
    names: tuple[str, ...],
    state: FitState,
    train: TextSet,
    val: TextSet,
    ood_val: TextSet,
    background: Sequence[str] = (),
) -> FittedModel:
    """The same on texts at hand; `state` must hold the fits of these very sets."""
    parts = split_parts(train, val, config.attributor.folds, config.seed)
    networks = {part: fitted_networks(state, part) for part in range(parts.count)}
    return assemble(
        config,
        names,
        {-1: fitted_networks(state, None), **networks},
        fitted_projector(state),
        parts,
        train,
        val,
        ood_val,
        background,
    )


def _fit_projector(config: RunConfig, train: TextSet, state: FitState, parts: int) -> None:
    """Where parts of train judge val, the space of the whole has no place (see assembly)."""
    networks = fitted_networks(state, None)
    if not networks or "projector" in state.finished or parts > 0:
        return
    projector = fit_projector(
        list(networks.items()), train.states, train.labels, config.detector, config.seed
    )
    state.finished["projector"] = {"shape": vars(projector.shape), "state": projector.state_dict()}


def _keep(
    state: FitState, name: str, network: AttributorNetwork, curve: list[dict[str, float]]
) -> None:
    state.finished[name] = {"shape": vars(network.shape), "state": network.state_dict()}
    state.curves[name] = curve
    state.current = None


def _states_of(channel: str, texts: TextSet) -> StateSet:
    return state_set(channel_values(channel, texts.states), texts.labels)
