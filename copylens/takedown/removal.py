"""The takedown of one run: everything in its folder, step by step; a killed one is repeated."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from copylens.config.load import build_config
from copylens.config.schema import RunConfig, fingerprint
from copylens.corpus import load_manifest
from copylens.corpus.manifest import Manifest
from copylens.corpus.tombstones import Tombstone, add_tombstone, name_hash, read_tombstones
from copylens.errors import CorpusError, ModelError
from copylens.evidence.building import evidence_uri, remove_files
from copylens.evidence.building import remove as remove_entries
from copylens.evidence.manifest import find_manifest
from copylens.fit.data import load_training_data
from copylens.fit.dealing import ReadTexts
from copylens.fit.held_out import held_out_scores
from copylens.fit.model import FittedModel, calibrate
from copylens.fit.networks import FitState, fit_name, fit_networks
from copylens.states.embed import plan
from copylens.states.shards import published
from copylens.states.texts import JOINED
from copylens.store import storage
from copylens.store.stages import complete, marker_uri
from copylens.takedown.data import corpus_without, states_without
from copylens.takedown.model import attributor_without, space_without
from copylens.takedown.scrub import scrubbed
from copylens.verdict.attachments import FILES as ATTACHMENTS
from copylens.verdict.bundle import SCORER_FILE, Bundle, load_bundle, save_bundle
from copylens.verdict.lineage import lineage_of

_STALE = (
    "report.json",
    "report.html",
    "index.done.json",
    "evaluate.done.json",
    "promote.done.json",
    "audit.done.json",
)


@dataclass(frozen=True)
class Removal:
    """What a takedown left.

    Attributes:
        config: the run's, without sources and settings that name the sub-dataset.
        lineage: of the new model.
        inputs: what train depends on: hash of the states, of the corpus where no LM is read.
        model_hash: what train would leave.
        passages: how many were removed.
    """

    config: RunConfig
    lineage: dict[str, Any]
    inputs: str
    model_hash: str
    passages: int


def remove(config: RunConfig, sub_dataset: str, read: ReadTexts | None = None) -> Removal:
    """Takes a sub-dataset out of a finished run: corpus, states, index, audit, model, report.

    The report is to be measured anew, and the model to be registered: `ray_jobs.remove` does.

    Args:
        read: see `deal`.

    Raises:
        CorpusError: there is no such sub-dataset, or too few would be left.
        ModelError: the run has no trained model.
    """
    output = config.output
    folder = storage.join(output, "model")
    bundle, manifest = load_bundle(folder), load_manifest(output)
    _check(output, sub_dataset, bundle, manifest)
    arrays = storage.read_json(storage.join(folder, SCORER_FILE))["arrays_sha256"]
    before = manifest.counts.passages
    # Written first: from here on ingest does not bring it back, whatever happens.
    record = add_tombstone(output, Tombstone(name_hash(sub_dataset), arrays, manifest.hash))
    cleaned = config_without(config, sub_dataset)
    manifest = corpus_without(output, sub_dataset)
    inputs = manifest.hash
    if config.reads_lm:
        inputs = fingerprint(states_without(config), manifest.hash)
    _clean_folder(output, sub_dataset, cleaned, manifest)
    lineage = lineage_of(cleaned) | {"removed": [asdict(entry) for entry in record]}
    if sub_dataset in bundle.model.attributor.sub_datasets:
        model = model_without(config, bundle.model, sub_dataset, read)
        left = Bundle(model, manifest.rights, cleaned, lineage, {})
        save_bundle(folder, left)
    _stamp(config, manifest, inputs)
    return Removal(
        cleaned,
        lineage,
        inputs,
        fingerprint(storage.read_json(storage.join(folder, SCORER_FILE))),
        before - manifest.counts.passages,
    )


def config_without(config: RunConfig, sub_dataset: str) -> RunConfig:
    """The config without sources and settings that name the sub-dataset."""
    values = scrubbed(config.model_dump(mode="json"), sub_dataset)
    if not values["evaluation"]["never_trained"]:
        values["evaluation"]["control_model"] = ""
    return build_config(values)


def model_without(
    config: RunConfig, model: FittedModel, sub_dataset: str, read: ReadTexts | None = None
) -> FittedModel:
    """Cut out of the attributor; detector and calibration measured anew on what is left."""
    place = model.attributor.sub_datasets.index(sub_dataset)
    data = load_training_data(config)
    attributor = attributor_without(model.attributor, place, data.train)
    state = FitState()
    if attributor.channels.attention is not None:
        # Where val shares works with train, the networks without a fold of it are fitted again.
        state.keep(fit_name(None), attributor.channels.attention)
        fit_networks(config, data, state)
        channels = replace(attributor.channels, exposure=state.exposure())
        attributor = replace(attributor, channels=channels)
    held_out = held_out_scores(config, data, state, attributor.channels, read)
    space = space_without(model.detector.space, place)
    return calibrate(config, attributor, space, held_out)


def _check(output: str, sub_dataset: str, bundle: Bundle, manifest: Manifest) -> None:
    known = set(manifest.sub_datasets) | set(bundle.model.attributor.sub_datasets)
    gone = {entry.sub_dataset_sha256 for entry in read_tombstones(output)}
    if sub_dataset not in known and name_hash(sub_dataset) not in gone:
        raise CorpusError(
            f"'{storage.shown(output)}' has no registered sub-dataset '{sub_dataset}'; it has "
            f"{', '.join(manifest.sub_datasets)}"
        )
    if len(set(manifest.sub_datasets) - {sub_dataset}) < 2:
        raise CorpusError(
            f"without '{sub_dataset}' fewer than 2 sub-datasets are left, and nothing can be "
            "attributed; delete the run and its registered versions instead"
        )
    if bundle.model.attributor.sub_datasets != manifest.sub_datasets and sub_dataset not in (
        set(bundle.model.attributor.sub_datasets) ^ set(manifest.sub_datasets)
    ):
        raise ModelError(f"model and corpus of '{storage.shown(output)}' differ; run train first")


def _clean_folder(output: str, sub_dataset: str, cleaned: RunConfig, manifest: Manifest) -> None:
    """What else a run keeps: reports, checkpoints, its config, index and audit."""
    for name in _STALE:
        if storage.exists(storage.join(output, name)):
            storage.remove_file(storage.join(output, name))
    # Checkpoints hold networks with its outputs.
    storage.remove_tree(storage.join(output, "ray"))
    # What a training that was killed has joined of its passages.
    storage.remove_tree(storage.join(output, JOINED))
    # What the LM made of its passages, token by token.
    storage.remove_tree(storage.join(output, "audit"))
    storage.write_bytes(storage.join(output, "config.yaml"), cleaned.to_yaml().encode())
    _clean_evidence(evidence_uri(output), sub_dataset, manifest.hash)
    audit = storage.join(output, *ATTACHMENTS["audit"])
    if storage.exists(audit):
        found = scrubbed(storage.read_json(audit), sub_dataset)
        storage.write_json(audit, found | {"corpus_manifest": manifest.hash})


def _clean_evidence(folder: str, sub_dataset: str, corpus_manifest: str) -> None:
    index = find_manifest(folder)
    if index is not None and sub_dataset in {entry.name for entry in index.sub_datasets}:
        remove_entries(folder, sub_dataset, corpus_manifest)
    else:
        # Killed between manifest and files, the manifest no longer names them.
        remove_files(folder, sub_dataset)


def _stamp(config: RunConfig, manifest: Manifest, states: str) -> None:
    """Ingest and embed are complete as they stand, so that the next run does not do them again."""
    uri = marker_uri(config, "ingest")
    marker = storage.read_json(uri)
    storage.write_json(uri, marker | {"hash": manifest.hash, "summary": manifest.summary()})
    if not config.reads_lm:
        return
    tasks = plan(config)
    summary = storage.read_json(marker_uri(config, "embed"))["summary"] | {
        "shards": len(tasks),
        "passages_in": sum(task.passages for task in tasks),
        "states_out": sum(published(task.target).rows for task in tasks),
        "quarantined": sum(len(published(task.target).quarantined) for task in tasks),
    }
    complete(config, "embed", manifest.hash, states, summary)
