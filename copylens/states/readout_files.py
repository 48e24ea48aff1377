"""The fitted read-out in a run's folder: one safetensors file, published last with a marker."""

from copylens.errors import ModelError
from copylens.probe.readout import ReadOut
from copylens.store import storage
from copylens.store.markers import facts_of, is_published, mark


def publish_readout(output: str, key: str, readout: ReadOut) -> None:
    """Writes the file, then the marker that makes it count."""
    from safetensors.numpy import save

    data = save(readout.arrays())
    storage.write_bytes(_uri(output), data)
    mark(_uri(output), key, {"sha256": storage.sha256(data)})


def readout_is_published(output: str, key: str) -> bool:
    """True when the read-out is complete and was fitted on exactly these inputs."""
    return is_published(_uri(output), key)


def readout_sha256(output: str) -> str:
    """Hash of the published file's bytes, from its marker; "" where there is none."""
    facts = facts_of(_uri(output))
    return "" if facts is None else str(facts["sha256"])


def load_readout(output: str) -> ReadOut:
    """Reads what `publish_readout` wrote.

    Raises:
        ModelError: it is missing or its bytes are not those its marker names.
    """
    from safetensors.numpy import load

    sha256 = readout_sha256(output)
    if not sha256 or not storage.exists(_uri(output)):
        raise ModelError(f"'{output}' holds no read-out; run embed")
    data = storage.read_bytes(_uri(output))
    if storage.sha256(data) != sha256:
        raise ModelError(f"'{_uri(output)}' is damaged; delete it and run embed again")
    readout = ReadOut.from_arrays(dict(load(data)))
    if readout is None:
        raise ModelError(f"'{_uri(output)}' holds no read-out; delete it and run embed again")
    return readout


def _uri(output: str) -> str:
    return storage.join(output, "states", "readout.safetensors")
