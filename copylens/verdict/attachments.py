"""What a registered version carries beside its model: an audit of the LM, an index of evidence.

Both are made from the corpus and the LM, at any time after ingest, and may be made anew without
training anything. Promote puts them into the version's scorer.json: one hash stands for all of it,
and whoever loads the version has them without knowing the run's folder.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from copylens.errors import ModelError
from copylens.records import Rights
from copylens.store import storage

Attachments = dict[str, dict[str, Any]]

FILES: Mapping[str, tuple[str, ...]] = {
    "audit": ("audit.json",),
    "evidence": ("evidence", "manifest.json"),
}
"""Name in scorer.json -> file in a run's output. Each holds one JSON object."""

TRAINED_ON = "trained on"


def read_attachments(
    output: str, lineage: Mapping[str, Any], names: Sequence[str] = tuple(FILES)
) -> Attachments:
    """Those that a run has: the content of each file, with its `uri` and its `sha256`.

    Args:
        lineage: of the scorer that they are for.
        names: which of them are wanted.

    Raises:
        ModelError: one was made for another corpus or another LM, or is damaged.
    """
    found: Attachments = {}
    for name in names:
        uri = storage.join(output, *FILES[name])
        if not storage.exists(uri):
            continue
        data = storage.read_bytes(uri)
        try:
            content = dict(json.loads(data))
        except (ValueError, TypeError):
            raise ModelError(f"'{uri}' is damaged; make the {name} again") from None
        _check_origin(name, uri, content, lineage)
        found[name] = content | {"uri": storage.shown(uri), "sha256": storage.sha256(data)}
    return found


def hashes(attachments: Attachments) -> dict[str, str]:
    """Name -> sha256 of the file: what the lineage keeps of them."""
    return {name: str(block["sha256"]) for name, block in attachments.items()}


def attach(meta: dict[str, Any], attachments: Attachments) -> dict[str, Any]:
    """The content of a scorer.json with these attachments, in place of those it had."""
    plain = {key: value for key, value in meta.items() if key not in FILES}
    lineage = {key: value for key, value in meta["lineage"].items() if key not in FILES}
    return plain | attachments | {"lineage": lineage | hashes(attachments)}


def attached(meta: Mapping[str, Any]) -> Attachments:
    """What a scorer.json carries."""
    return {name: meta[name] for name in FILES if name in meta}


def with_basis(rights: Sequence[Rights], attachments: Attachments) -> tuple[Rights, ...]:
    """The registry with the basis of each entry: trained_on where the audit found training."""
    findings = attachments.get("audit", {}).get("sub_datasets", {})
    trained = {name for name, entry in findings.items() if entry["finding"] == TRAINED_ON}
    return tuple(
        replace(item, basis="trained_on" if item.sub_dataset in trained else "resemblance")
        for item in rights
    )


def audit_sentences(attachments: Attachments) -> dict[str, tuple[str, ...]]:
    """Sub-dataset -> what the audit says of it: training, then extraction; empty without one."""
    found = attachments.get("audit", {}).get("sub_datasets", {})
    return {
        # Audits made before there was extraction say nothing of it.
        name: (entry["sentence"], *(e["sentence"] for e in (entry.get("extraction"),) if e))
        for name, entry in found.items()
    }


def _check_origin(
    name: str, uri: str, content: Mapping[str, Any], lineage: Mapping[str, Any]
) -> None:
    probe = content.get("probe")
    weights = probe.get("weights") if isinstance(probe, Mapping) else None
    for what, found, expected in (
        ("corpus", content.get("corpus_manifest"), lineage.get("corpus_manifest")),
        ("LM", weights, lineage.get("probe_weights")),
    ):
        if found is not None and expected is not None and found != expected:
            raise ModelError(
                f"the {name} at '{storage.shown(uri)}' is of another {what} than the trained model "
                f"({str(found)[:12]}, not {str(expected)[:12]}); make it again, or delete it"
            )
