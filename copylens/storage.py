"""Files at any pyarrow URI (a path, file://, s3:// ...). Everything is published last.

Object stores have no atomic rename, so a file counts only once the marker that names its hash
is there; on a local disk each file is besides that moved into place whole.
"""

import hashlib
import json
import os
import uuid
from pathlib import Path
from typing import Any

from pyarrow import fs

from copylens.errors import CopyLensError


def resolve(uri: str) -> tuple[fs.FileSystem, str]:
    """File system and path behind a URI or a local path."""
    if "://" not in uri:
        return fs.LocalFileSystem(), str(Path(uri).absolute())
    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
    except (ValueError, OSError) as error:
        raise CopyLensError(f"'{uri}' is no usable location: {error}") from None
    return filesystem, path


def join(base: str, *parts: str) -> str:
    """Appends path parts to a URI or a local path."""
    return "/".join([base.rstrip("/"), *parts])


def exists(uri: str) -> bool:
    """True where a file or folder stands at the URI."""
    filesystem, path = resolve(uri)
    return bool(filesystem.get_file_info(path).type != fs.FileType.NotFound)


def read_bytes(uri: str) -> bytes:
    """The whole content of a file."""
    filesystem, path = resolve(uri)
    with filesystem.open_input_stream(path) as stream:
        return bytes(stream.read())


def read_json(uri: str) -> Any:
    """The content of a JSON file."""
    return json.loads(read_bytes(uri))


def write_bytes(uri: str, data: bytes) -> None:
    """Writes a file aside and moves it into place, so that no reader sees half of it."""
    filesystem, path = resolve(uri)
    filesystem.create_dir(str(Path(path).parent), recursive=True)
    aside = f"{path}.{uuid.uuid4().hex[:8]}.tmp"
    with filesystem.open_output_stream(aside) as stream:
        stream.write(data)
    if isinstance(filesystem, fs.LocalFileSystem):
        os.replace(aside, path)  # noqa: PTH105 - the atomic call, by its own name
    else:
        filesystem.move(aside, path)


def write_json(uri: str, value: Any) -> None:
    """Writes a value as readable JSON with a stable key order."""
    write_bytes(uri, (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)).encode())


def list_files(uri: str, suffix: str) -> list[str]:
    """URIs of the files directly in a folder whose names end so, sorted; [] without the folder."""
    filesystem, path = resolve(uri)
    infos = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    names = sorted(info.base_name for info in infos if info.type == fs.FileType.File)
    return [join(uri, name) for name in names if name.endswith(suffix)]


def remove_file(uri: str) -> None:
    """Deletes one file.

    Raises:
        OSError: it is not there.
    """
    filesystem, path = resolve(uri)
    filesystem.delete_file(path)


def remove_tree(uri: str) -> None:
    """Deletes a folder and what is in it; no error where there is none."""
    filesystem, path = resolve(uri)
    if filesystem.get_file_info(path).type == fs.FileType.Directory:
        filesystem.delete_dir(path)


def sha256(data: bytes) -> str:
    """Hex sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()
