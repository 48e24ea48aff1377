"""A fitted model on disk: model.safetensors + scorer.json, never pickle.

Every array goes by a dotted name into one safetensors file; sizes, names and numbers go into the
JSON file, together with the hash of the arrays, so that a damaged or swapped file is refused.
"""

import json
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from copylens.attributor.attention.network import AttributorNetwork, NetworkShape
from copylens.attributor.attention.readout_arrays import expert_arrays, expert_from
from copylens.attributor.attributor import Attributor, Channels
from copylens.attributor.fusion import ChannelFusion
from copylens.attributor.lexical.arrays import lexical_arrays, lexical_from
from copylens.config.load import build_config
from copylens.config.schema import RunConfig
from copylens.detector.calibration import Conformal, OpenSet, ShareIntervals
from copylens.detector.detector import Detector, Space
from copylens.detector.projector import Projector, ProjectorShape
from copylens.detector.typicality import TypicalityTest
from copylens.errors import ModelError
from copylens.fit.assembly import FittedModel
from copylens.fit.confusion import HeldOutShares
from copylens.probe.readout import ReadOut
from copylens.records import AnyArray, Rights
from copylens.store import storage
from copylens.verdict.attachments import Attachments, attach, attached, with_basis

FORMAT = 3
_M = TypeVar("_M", bound=nn.Module)
_ARRAYS, SCORER_FILE = "model.safetensors", "scorer.json"
FILES = (_ARRAYS, SCORER_FILE)
_INTERVAL = ("share", "low", "high")
_TEST = ("centre", "spread", "own")
_HELD = ("shares", "labels", "groups")


@dataclass(frozen=True)
class Bundle:
    """What a saved scorer is made of.

    Attributes:
        readout: the probe's, so that whoever loads the bundle reads states as training did.
        rights: the registry; the basis of each entry follows from the audit that is attached.
        lineage: what the scorer descends from, the hashes of its attachments among it.
        attachments: see copylens.verdict.attachments; empty where there are none.
    """

    model: FittedModel
    readout: ReadOut | None
    rights: tuple[Rights, ...]
    config: RunConfig
    lineage: dict[str, Any]
    attachments: Attachments


def save_bundle(folder: str, bundle: Bundle) -> None:
    """Writes both files; the JSON file last, for it makes the folder count."""
    from safetensors.numpy import save

    readout = bundle.readout
    arrays = _arrays(bundle.model) | (readout.arrays() if readout is not None else {})
    data = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    storage.write_bytes(storage.join(folder, _ARRAYS), data)
    meta = {
        "format": FORMAT,
        "arrays_sha256": storage.sha256(data),
        "rights": [item.entry() for item in bundle.rights],
        "config": bundle.config.model_dump(mode="json"),
        "lineage": bundle.lineage,
        "model": _numbers(bundle.model),
    }
    storage.write_json(storage.join(folder, SCORER_FILE), attach(meta, bundle.attachments))


def load_bundle(folder: str) -> Bundle:
    """Reads what `save_bundle` wrote.

    Raises:
        ModelError: a file is missing, damaged, of another format, or not the other one's partner.
    """
    meta_uri = storage.join(folder, SCORER_FILE)
    if not storage.exists(meta_uri):
        raise ModelError(f"'{folder}' holds no scorer ({SCORER_FILE} is missing)")
    try:
        meta = json.loads(storage.read_bytes(meta_uri))
    except ValueError:
        raise ModelError(f"'{meta_uri}' is no valid JSON; fetch the model again") from None
    if meta.get("format") != FORMAT:
        raise ModelError(f"'{folder}' has format {meta.get('format')}; this version reads {FORMAT}")
    arrays = _read_arrays(storage.join(folder, _ARRAYS), meta["arrays_sha256"])
    attachments = attached(meta)
    return Bundle(
        model=_model(arrays, meta["model"]),
        readout=ReadOut.from_arrays(arrays),
        rights=with_basis([Rights(**item) for item in meta["rights"]], attachments),
        config=build_config(meta["config"], meta_uri),
        lineage=dict(meta["lineage"]),
        attachments=attachments,
    )


def _read_arrays(uri: str, sha256: str) -> dict[str, AnyArray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if not storage.exists(uri):
        raise ModelError(f"'{uri}' is missing; fetch the model again")
    data = storage.read_bytes(uri)
    if storage.sha256(data) != sha256:
        raise ModelError(f"'{uri}' is damaged (its sha256 differs); fetch the model again")
    try:
        return dict(load(data))
    except SafetensorError as error:
        raise ModelError(f"'{uri}' is no safetensors file: {error}") from None


def _arrays(model: FittedModel) -> dict[str, AnyArray]:
    attributor, detector = model.attributor, model.detector
    arrays = {
        "conformal.scores": model.conformal.scores,
        "conformal.weights": model.conformal.weights,
        **{f"interval.{key}": getattr(model.intervals, key) for key in _INTERVAL},
    }
    for name, network in attributor.channels.networks.items():
        arrays |= _module_arrays(f"network.{name}", network)
    if attributor.channels.lexical is not None:
        arrays |= lexical_arrays(attributor.channels.lexical)
    if attributor.channels.readout is not None:
        arrays |= expert_arrays(attributor.channels.readout)
    if model.held_shares is not None:
        arrays |= {f"held.{key}": getattr(model.held_shares, key) for key in _HELD}
    if detector.space is not None:
        arrays |= _module_arrays("projector", detector.space.projector)
        arrays["space.centres"] = detector.space.centres
    for name, test in detector.tests.items():
        arrays |= {f"test.{name}.{key}": getattr(test, key) for key in _TEST}
    return arrays


def _numbers(model: FittedModel) -> dict[str, Any]:
    attributor, detector = model.attributor, model.detector
    return {
        "sub_datasets": list(attributor.sub_datasets),
        "networks": {k: vars(n.shape) for k, n in attributor.channels.networks.items()},
        "window": attributor.channels.window,
        "network_share": attributor.channels.network_share,
        "text_weights": attributor.text_fusion.weights,
        "segment_weights": attributor.segment_fusion.weights,
        "sharpness": attributor.sharpness,
        "switch": attributor.switch,
        "mixed": attributor.mixed,
        "projector": vars(detector.space.projector.shape) if detector.space else None,
        "tests": {name: [t.threshold, t.excess] for name, t in detector.tests.items()},
        "test_weights": detector.weights,
        "open_set_shape": model.open_set.shape,
    }


def _model(arrays: dict[str, AnyArray], numbers: dict[str, Any]) -> FittedModel:
    networks = {
        name: _module(AttributorNetwork(NetworkShape(**shape)), f"network.{name}", arrays)
        for name, shape in numbers["networks"].items()
    }
    lexical = lexical_from(arrays) if "lexical.gate" in arrays else None
    channels = Channels(
        networks, lexical, expert_from(arrays), numbers["network_share"], numbers["window"]
    )
    attributor = Attributor(
        sub_datasets=tuple(numbers["sub_datasets"]),
        channels=channels,
        text_fusion=ChannelFusion(numbers["text_weights"]),
        segment_fusion=ChannelFusion(numbers["segment_weights"]),
        sharpness=numbers["sharpness"],
        switch=numbers["switch"],
        mixed=numbers["mixed"],
    )
    return FittedModel(
        attributor=attributor,
        detector=_detector(arrays, numbers),
        conformal=Conformal(arrays["conformal.scores"], arrays["conformal.weights"]),
        open_set=OpenSet(numbers["open_set_shape"]),
        intervals=ShareIntervals(*(arrays[f"interval.{key}"] for key in _INTERVAL)),
        held_shares=HeldOutShares(*(arrays[f"held.{key}"] for key in _HELD))
        if "held.shares" in arrays
        else None,
    )


def _detector(arrays: dict[str, AnyArray], numbers: dict[str, Any]) -> Detector:
    space = None
    if numbers["projector"] is not None:
        shape = ProjectorShape(**numbers["projector"])
        projector = _module(Projector(shape), "projector", arrays)
        space = Space(projector, arrays["space.centres"])
    tests = {
        name: TypicalityTest(
            **{key: arrays[f"test.{name}.{key}"] for key in _TEST},
            threshold=threshold,
            excess=excess,
        )
        for name, (threshold, excess) in numbers["tests"].items()
    }
    return Detector(space, tests, numbers["test_weights"])


def _module_arrays(prefix: str, module: nn.Module) -> dict[str, AnyArray]:
    return {f"{prefix}.{key}": value.numpy() for key, value in module.state_dict().items()}


def _module(module: _M, prefix: str, arrays: dict[str, AnyArray]) -> _M:
    start = f"{prefix}."
    state = {
        key.removeprefix(start): torch.from_numpy(np.array(value))
        for key, value in arrays.items()
        if key.startswith(start)
    }
    module.load_state_dict(state)
    module.eval()
    return module
