"""Runs the studies that the config lists, each once, and puts their figures into the report."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from copylens.config.schema import ALL_NEAR, RunConfig, Study, fingerprint
from copylens.corpus import load_manifest
from copylens.errors import ConfigError, ProbeError, one_line
from copylens.evaluation.answers import Evaluation
from copylens.evaluation.baselines.encoder import encoder_probe, installed
from copylens.evaluation.studies import (
    controls,
    in_corpus,
    leave_one_out,
    lm_outputs,
    robustness,
)
from copylens.evaluation.studies.inputs import StudyInput
from copylens.probe.lm import is_causal
from copylens.probe.loading.identity import lm_hash
from copylens.store import storage
from copylens.store.stages import upstream_hash

_STUDIES: dict[Study, Callable[[StudyInput], dict[str, Any]]] = {
    "controls": controls.run,
    "robustness": robustness.run,
    "leave_one_out": leave_one_out.run,
    "lm_outputs": lm_outputs.run,
    "in_corpus": in_corpus.run,
}
# Settings of the evaluation that no study's figures depend on.
_BESIDE = {"studies", "near_ood"}


def run_studies(
    config: RunConfig, answers: Evaluation, best_text: str
) -> dict[Study, dict[str, Any]]:
    """Runs what `config.evaluation.studies` lists and is not yet complete.

    Each study leaves `<output>/studies/<name>.json` as soon as it is done, so that a re-run after
    a crash, or with one study more, repeats nothing.

    Args:
        best_text: name of the best text-only baseline.

    Returns:
        Study -> its `figures`, and the `seconds` it took when it ran.
    """
    study = StudyInput(config, answers, best_text)
    results = {}
    for number, name in enumerate(config.evaluation.studies, 1):
        of_all = f"{number} of {len(config.evaluation.studies)}"
        print(f"evaluate: study '{name}', {of_all}", file=sys.stderr)
        try:
            results[name] = _run(study, name)
        except Exception as error:  # What breaks in an extra must not cost the report.
            reason = one_line(error) or type(error).__name__
            message = f"warning: the study '{name}' failed, its figures stay null: {reason}"
            print(message, file=sys.stderr)
    return results


def add_studies(report: dict[str, Any], results: Mapping[Study, Mapping[str, Any]]) -> None:
    """Puts the figures where the contract wants them; what was not run stays null."""
    for name, result in results.items():
        section = report["ood"] if name == "leave_one_out" else report
        for key, value in result["figures"].items():
            if value is not None:
                section[name][key] = value
        report["cost"]["study_seconds"][name] = result["seconds"]
    lstm = report["controls"]["text_only_lstm"]
    if lstm["accuracy"] is not None:
        # A text-only method like the others; it was tested on the study's passages only.
        report["baselines"]["text_only_lstm"] = {
            **dict.fromkeys(("macro_f1", "auroc", "fpr95")),
            "accuracy": lstm["accuracy"],
            "n": lstm["n"],
        }


def check_settings(config: RunConfig) -> None:
    """Refuses settings of the evaluation that do not fit the corpus.

    Raises:
        ConfigError: a name that the corpus does not hold, or a study without what it needs.
        ProbeError: the encoder or the control model is not there, or the probe cannot write what
            lm_outputs asks.
    """
    settings, manifest = config.evaluation, load_manifest(config.output)
    encoder = installed(settings.encoder)
    if encoder is not None:
        lm_hash(encoder_probe(encoder))
    unregistered = [
        name
        for name, splits in manifest.by_sub_dataset.items()
        if any(split.startswith("ood") for split in splits)
    ]
    if settings.control_model and "controls" in settings.studies:
        _known("never_trained", settings.never_trained, manifest.sub_datasets)
    if settings.near_ood != ALL_NEAR:
        _known("near_ood", settings.near_ood, unregistered)
    classes = len(manifest.sub_datasets)
    if settings.studies:
        _at_least("study_passages", settings.study_passages, classes)
    if "leave_one_out" in settings.studies:
        _at_least("refit_passages", settings.refit_passages, 10 * classes)
        if not config.channels.lexical:
            raise ConfigError("evaluation.studies: leave_one_out needs channels.lexical=true")
        if classes < 3:
            raise ConfigError("evaluation.studies: leave_one_out needs at least 3 sub-datasets")
    if "lm_outputs" in settings.studies and not is_causal(config.probe):
        raise ProbeError(
            f"evaluation.studies: lm_outputs needs an LM that writes, and '{config.probe.model}' "
            "is an encoder; leave this study out"
        )
    if "controls" in settings.studies:
        if not config.channels.attention:
            raise ConfigError("evaluation.studies: controls needs channels.attention=true")
        if settings.control_model:
            lm_hash(controls.control_config(config).probe)


def _at_least(key: str, amount: int, least: int) -> None:
    if amount < least:
        raise ConfigError(
            f"evaluation.{key} is {amount}; with this corpus' sub-datasets take at least {least}"
        )


def _known(key: str, names: Sequence[str], valid: Sequence[str]) -> None:
    for name in names:
        if name not in valid:
            raise ConfigError(
                f"evaluation.{key}: the corpus has no '{name}'; it holds {', '.join(valid) or '-'}"
            )


def _run(study: StudyInput, name: Study) -> dict[str, Any]:
    uri = storage.join(study.config.output, "studies", f"{name}.json")
    key = study_key(study.config, name, study.best_text)
    if storage.exists(uri):
        saved: dict[str, Any] = storage.read_json(uri)
        if saved["key"] == key:
            return saved
    start = time.perf_counter()
    figures = _STUDIES[name](study)
    seconds = round(time.perf_counter() - start, 1)
    result = {"key": key, "seconds": seconds, "figures": figures}
    storage.write_json(uri, result)
    return result


def study_key(config: RunConfig, name: Study, best_text: str) -> str:
    """Fingerprint of all that a study's figures depend on: settings, model, control model."""
    control = ""
    if name == "controls" and config.evaluation.control_model:
        control = lm_hash(controls.control_config(config).probe)
    return fingerprint(
        name,
        config.evaluation.model_dump(mode="json", exclude=_BESIDE),
        config.probe.model_dump(mode="json", exclude={"device", "batch_tokens"}),
        config.attributor,
        config.channels,
        config.detector,
        config.calibration,
        config.seed,
        upstream_hash(config, "evaluate"),
        control,
        best_text,
    )
