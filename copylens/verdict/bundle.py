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

from copylens.attributor.attention.reader import build_reader
from copylens.attributor.attributor import Attributor, Channels
from copylens.attributor.fusion import ChannelFusion
from copylens.attributor.lexical.classifier import LexicalClassifier
from copylens.config.load import build_config
from copylens.config.schema import RunConfig
from copylens.detector.detector import detector_from_arrays
from copylens.detector.intervals import IntervalsByLength
from copylens.detector.open_set import OpenTimeline
from copylens.detector.projector import Projector, ProjectorShape
from copylens.detector.space import Space
from copylens.errors import ModelError
from copylens.fit.confusion import HeldOutShares
from copylens.fit.model import FittedModel
from copylens.records import Rights
from copylens.store import storage
from copylens.store.arrays import Arrays, below, nested
from copylens.verdict.attachments import Attachments, attach, attached, with_basis

FORMAT = 8
_M = TypeVar("_M", bound=nn.Module)
_ARRAYS, SCORER_FILE = "model.safetensors", "scorer.json"
FILES = (_ARRAYS, SCORER_FILE)
_TIMELINE = ("segment_scale", "switch_probability", "mixture_prior")


@dataclass(frozen=True)
class Bundle:
    """What a saved scorer is made of.

    Attributes:
        rights: the registry; the basis of each entry follows from the audit that is attached.
        lineage: what the scorer descends from, the hashes of its attachments among it.
        attachments: see copylens.verdict.attachments; empty where there are none.
    """

    model: FittedModel
    rights: tuple[Rights, ...]
    config: RunConfig
    lineage: dict[str, Any]
    attachments: Attachments


def save_bundle(folder: str, bundle: Bundle) -> None:
    """Writes both files; the JSON file last, for it makes the folder count."""
    from safetensors.numpy import save

    arrays = _arrays(bundle.model)
    data = save({name: np.asarray(array, order="C") for name, array in arrays.items()})
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
        raise ModelError(
            f"'{folder}' was saved in format {meta.get('format')}, and this version reads format "
            f"{FORMAT} alone; train again, or use the CopyLens it was saved with"
        )
    arrays = _read_arrays(storage.join(folder, _ARRAYS), meta["arrays_sha256"])
    attachments = attached(meta)
    return Bundle(
        model=_model(arrays, meta["model"]),
        rights=with_basis([Rights(**item) for item in meta["rights"]], attachments),
        config=build_config(meta["config"], meta_uri),
        lineage=dict(meta["lineage"]),
        attachments=attachments,
    )


def _read_arrays(uri: str, sha256: str) -> Arrays:
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


def _arrays(model: FittedModel) -> Arrays:
    attributor, detector = model.attributor, model.detector
    arrays = {
        **nested("detector", detector.arrays()),
        **nested("interval", model.intervals.arrays()),
        **nested("held", vars(model.held_shares)),
    }
    if attributor.channels.attention is not None:
        arrays |= _module_arrays("attention", attributor.channels.attention)
    if attributor.channels.exposure is not None:
        arrays |= _module_arrays("exposure", attributor.channels.exposure)
    if attributor.channels.lexical is not None:
        arrays |= nested("lexical", attributor.channels.lexical.arrays())
    if detector.space is not None:
        arrays |= _module_arrays("projector", detector.space.projector)
    return arrays


def _numbers(model: FittedModel) -> dict[str, Any]:
    attributor, detector = model.attributor, model.detector
    attention, exposure = attributor.channels.attention, attributor.channels.exposure
    return {
        "sub_datasets": list(attributor.sub_datasets),
        "attention": None if attention is None else vars(attention.shape),
        "exposure": None if exposure is None else vars(exposure.shape),
        "window": attributor.channels.window,
        "text_weights": attributor.text_fusion.weights,
        "segment_weights": attributor.segment_fusion.weights,
        "timeline": {name: getattr(attributor, name) for name in _TIMELINE},
        "projector": vars(detector.space.projector.shape) if detector.space else None,
        "open_timeline": vars(model.timeline),
    }


def _model(arrays: Arrays, numbers: dict[str, Any]) -> FittedModel:
    attention, exposure, lexical = None, None, below("lexical", arrays)
    if numbers["attention"] is not None:
        attention = _module(build_reader(numbers["attention"]), "attention", arrays)
    if numbers["exposure"] is not None:
        exposure = _module(build_reader(numbers["exposure"]), "exposure", arrays)
    attributor = Attributor(
        sub_datasets=tuple(numbers["sub_datasets"]),
        channels=Channels(
            attention,
            LexicalClassifier.from_arrays(lexical) if lexical else None,
            numbers["window"],
            exposure,
        ),
        text_fusion=ChannelFusion(numbers["text_weights"]),
        segment_fusion=ChannelFusion(numbers["segment_weights"]),
        **numbers["timeline"],
    )
    return FittedModel(
        attributor=attributor,
        detector=detector_from_arrays(below("detector", arrays), _space(arrays, numbers)),
        timeline=OpenTimeline(**numbers["open_timeline"]),
        intervals=IntervalsByLength.from_arrays(below("interval", arrays)),
        held_shares=HeldOutShares(**below("held", arrays)),
    )


def _space(arrays: Arrays, numbers: dict[str, Any]) -> Space | None:
    if numbers["projector"] is None:
        return None
    projector = _module(Projector(ProjectorShape(**numbers["projector"])), "projector", arrays)
    return Space(projector, arrays["detector.centres"])


def _module_arrays(prefix: str, module: nn.Module) -> Arrays:
    return {f"{prefix}.{key}": value.numpy() for key, value in module.state_dict().items()}


def _module(module: _M, prefix: str, arrays: Arrays) -> _M:
    found = below(prefix, arrays).items()
    module.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in found})
    module.eval()
    return module
