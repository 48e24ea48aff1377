"""The index's manifest as a file: what earlier versions wrote is read, under the same hash."""

from copylens.config.schema import fingerprint
from copylens.evidence.manifest import EvidenceManifest


def test_a_manifest_of_an_earlier_version_keeps_its_hash():
    shard = {
        "name": "part-00000",
        "passages": 2,
        "words": 9,
        "passages_sha256": "a",
        "arrays_sha256": "b",
        "states_sha256": "",
        "bytes": 7,
    }
    written = {
        "sub_datasets": [{"name": "sea", "folder": "sea-1", "parts": [shard]}],
        "corpus_manifest": "c",
        "part_passages": 5,
        "states": "",
        "layout": [1, 1, 4, 3],
    }
    manifest = EvidenceManifest.from_dict(written)
    assert manifest.hash == fingerprint(written)
    assert manifest.to_dict()["sub_datasets"] == written["sub_datasets"]
    assert manifest.summary()["words"] == 9
