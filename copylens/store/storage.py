"""Files at any pyarrow or fsspec URI (a path, file://, s3:// ...). Everything is published last.

Object stores have no atomic rename, so a file is complete only once a marker with its hash exists.
There an upload is atomic; on a local disk a file is written aside and renamed.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
from pyarrow import fs

from copylens.errors import StorageError, one_line

# Characters that stay unencoded in a path; ? and # begin other parts of a URI, % an escape.
_IN_PATH = "/!$&'()*+,;=:@~"
# Parts of a store's error message -> what the user can do.
_ADVICE = (
    (("NO_SUCH_BUCKET", "Bucket '"), "create the bucket, or correct the URI"),
    (
        ("NETWORK_CONNECTION", "CouldNotConnect", "ould not connect", "resolve host", "timed out"),
        "see that the server is up and that AWS_ENDPOINT_URL names it",
    ),
    (
        ("ACCESS_DENIED", "ACCESS_KEY", "SIGNATURE", "TOKEN", "redential", "403"),
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of an account that has access there",
    ),
)


def resolve(uri: str) -> tuple[fs.FileSystem, str]:
    """File system and path behind a URI or a local path.

    s3:// takes endpoint, region and credentials from the AWS_* variables. A scheme that pyarrow
    does not know is fsspec's.

    Raises:
        StorageError: no file system goes by this scheme, or it cannot be set up.
    """
    if "://" not in uri:
        return fs.LocalFileSystem(), str(Path(uri).absolute())
    encoded = quote(uri, safe=f"{_IN_PATH}?%[]")
    with reaching(uri):
        if uri.startswith("s3://"):
            return _s3(encoded)
        try:
            filesystem, path = fs.FileSystem.from_uri(encoded)
        except pa.ArrowInvalid as error:
            if "Unrecognized filesystem type" not in str(error):
                raise
            return _fsspec(encoded)
        return filesystem, path


def is_local(uri: str) -> bool:
    """True for a path or URI on this machine's disks."""
    return isinstance(resolve(uri)[0], fs.LocalFileSystem)


def join(base: str, *parts: str) -> str:
    """Appends path parts to a URI (before its query) or to a local path."""
    if "://" not in base:
        return "/".join([base.rstrip("/"), *parts])
    place, mark, query = base.partition("?")
    encoded = (quote(part, safe=_IN_PATH) for part in parts)
    return "/".join([place.rstrip("/"), *encoded]) + mark + query


def beside(uri: str, ending: str) -> str:
    """The URI with an ending added to the file's name, e.g. that of its marker."""
    if "://" not in uri:
        return uri + ending
    place, mark, query = uri.partition("?")
    return place + ending + mark + query


def name_of(uri: str) -> str:
    """The last part of the path, decoded, without the query."""
    if "://" not in uri:
        return Path(uri).name
    return unquote(uri.partition("?")[0].rstrip("/").rpartition("/")[2])


def shown(uri: str) -> str:
    """The URI for messages: without query and user, which may hold a password."""
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return uri
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def exists(uri: str) -> bool:
    """True where a file or folder stands at the URI."""
    filesystem, path = resolve(uri)
    with reaching(uri):
        return bool(filesystem.get_file_info(path).type != fs.FileType.NotFound)


def require_bucket(uri: str) -> None:
    """Checks that the bucket of an S3 URI exists; elsewhere folders are made as needed.

    Raises:
        StorageError: there is no such bucket.
    """
    filesystem, path = resolve(uri)
    if not isinstance(filesystem, fs.S3FileSystem):
        return
    bucket = path.partition("/")[0]
    try:
        kind = filesystem.get_file_info(bucket).type
    except OSError:
        # A policy may allow the folder alone; other errors show at the first use.
        return
    if kind == fs.FileType.NotFound:
        raise StorageError(f"'{shown(uri)}': there is no bucket '{bucket}'; {_ADVICE[0][1]}")


def read_bytes(uri: str) -> bytes:
    """The whole content of a file, as it is (a .gz stays packed).

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: the place cannot be read.
    """
    filesystem, path = resolve(uri)
    with reaching(uri), filesystem.open_input_stream(path, compression=None) as stream:
        return bytes(stream.read())


def read_json(uri: str) -> Any:
    """The content of a JSON file."""
    return json.loads(read_bytes(uri))


def write_bytes(uri: str, data: bytes) -> None:
    """Writes a file atomically, and makes its folder if need be.

    Raises:
        StorageError: the place cannot be written.
    """
    filesystem, path = resolve(uri)
    with reaching(uri):
        if isinstance(filesystem, fs.LocalFileSystem):
            _write_local(Path(path), data)
            return
        if not isinstance(filesystem, fs.S3FileSystem):
            # On S3 a folder is only the beginning of a name.
            filesystem.create_dir(str(Path(path).parent), recursive=True)
        with filesystem.open_output_stream(path, compression=None) as stream:
            stream.write(data)


def write_json(uri: str, value: Any) -> None:
    """Writes a value as readable JSON with a stable key order."""
    write_bytes(uri, (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)).encode())


def list_files(uri: str, suffix: str) -> list[str]:
    """URIs of the files directly in a folder whose names end so, sorted; [] without the folder."""
    filesystem, path = resolve(uri)
    with reaching(uri):
        infos = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    names = sorted(info.base_name for info in infos if info.type == fs.FileType.File)
    return [join(uri, name) for name in names if name.endswith(suffix)]


def remove_file(uri: str) -> None:
    """Deletes one file.

    Raises:
        FileNotFoundError: it is not there.
        StorageError: it cannot be deleted.
    """
    filesystem, path = resolve(uri)
    with reaching(uri):
        filesystem.delete_file(path)


def remove_tree(uri: str) -> None:
    """Deletes a folder and what is in it; no error where there is none."""
    filesystem, path = resolve(uri)
    with reaching(uri):
        if filesystem.get_file_info(path).type == fs.FileType.Directory:
            filesystem.delete_dir(path)


def sha256(data: bytes) -> str:
    """Hex sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hex sha256 of a local file of any size; read once, until it is written again."""
    facts = path.stat()
    return _sha256_of_file(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256_of_file(path: Path, _size: int, _written: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def reaching(uri: str) -> Iterator[None]:
    """Turns a file system's errors into one line; FileNotFoundError passes through.

    Raises:
        StorageError: with the URI, the file system's message, and what to do.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ValueError, ImportError) as error:
        said = one_line(error).partition(" (Request ID")[0][:240]
        advice = next(
            (advice for signs, advice in _ADVICE if any(sign in said for sign in signs)),
            "check the place, and your rights there",
        )
        raise StorageError(f"'{shown(uri)}' is no usable location: {said}; {advice}") from None


def _s3(uri: str) -> tuple[fs.FileSystem, str]:
    place, _, query = uri.partition("?")
    host, _, key = place.removeprefix("s3://").partition("/")
    bucket = host.rpartition("@")[2]
    if not bucket:
        raise ValueError("it names no bucket")
    options = [query] if query else []
    if "allow_delayed_open" not in query:
        # Small files become one PUT instead of an upload in parts.
        options.append("allow_delayed_open=true")
    environment = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    filesystem = _s3_filesystem(f"s3://{host}?{'&'.join(options)}", environment)
    return filesystem, unquote(f"{bucket}/{key}").rstrip("/")


@lru_cache(maxsize=16)
def _s3_filesystem(root: str, environment: tuple[tuple[str, str], ...]) -> fs.FileSystem:
    """Cached, for its connections and its bucket's region; `environment` is only a cache key."""
    return fs.FileSystem.from_uri(root)[0]


def _fsspec(uri: str) -> tuple[fs.FileSystem, str]:
    import fsspec

    # A cached listing would hide files that other workers have written since.
    filesystem, path = fsspec.core.url_to_fs(uri, use_listings_cache=False)
    plain = path if uri.startswith(("http://", "https://")) else unquote(path)
    return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), plain


def _write_local(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with aside.open("wb") as stream:
            stream.write(data)
            stream.flush()
            # Without it a power failure may leave the new name on an empty file.
            os.fsync(stream.fileno())
        os.replace(aside, path)  # noqa: PTH105 - the atomic call, by its own name
    except OSError:
        aside.unlink(missing_ok=True)
        raise
