"""Downloads that resume, retry, and leave whole files only: what pooch does not do for files of gigabytes."""

from __future__ import annotations

import errno
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tqdm import tqdm

from epiattn._logging import logger
from epiattn._settings import settings

if TYPE_CHECKING:
    import requests

#: What a server says when it is worth asking again.
_BUSY = (408, 425, 429, 500, 502, 503, 504)
#: Retries after the first attempt without progress, and seconds before the first one; they double.
RETRIES, WAIT = 4, 1.0
_MOST_WAIT = 60.0
_TIMEOUT = (10, 60)  # seconds to connect, and between two packets
_CHUNK = 1 << 18
_GONE = (404, 410)


class Remote(NamedTuple):
    """A file below a base URL, its checksum if one is published (as pooch takes it), and what it is, for messages."""

    path: str
    hash: str | None = None
    what: str = ""


def fetch(remotes: Sequence[Remote], *, base_url: str | Path, folder: Path) -> dict[Remote, Path | None]:
    """Have files on this machine, downloading those that are not there.

    Parameters
    ----------
    remotes
        The files.
    base_url
        Where they lie below: an URL, or the path of a folder that is laid out in the same way, which is read in place.
    folder
        Where to keep them, at the same paths.

    Returns
    -------
    Where each file is; ``None`` for those that the server or the folder does not have.

    Raises
    ------
    ConnectionError
        If a server cannot be reached or breaks off again and again. What came is kept: a new call goes on there.
    ValueError
        If a file is not the published one.
    OSError
        If it cannot be written, or there is too little space for all.
    """
    if "://" not in str(base_url):
        return _in_place(remotes, Path(base_url).expanduser())
    import requests

    lacking = [remote for remote in remotes if not _is_here(remote, folder / remote.path)]
    found: dict[Remote, Path | None] = {remote: folder / remote.path for remote in remotes}
    if not lacking:
        return found
    with requests.Session() as session:
        sizes = {remote: _size(session, _url(base_url, remote), folder / remote.path) for remote in lacking}
        _announce(sizes, folder)
        for remote, size in sizes.items():
            try:
                if size is None:
                    found[remote] = None
                else:
                    _download(session, _url(base_url, remote), remote, folder / remote.path)
            except FileNotFoundError:  # servers that do not answer HEAD say it now
                found[remote] = None
    return found


def _in_place(remotes: Sequence[Remote], folder: Path) -> dict[Remote, Path | None]:
    if not folder.is_dir():
        msg = f"No folder {str(folder)!r} to read from; give an URL, or a folder that is laid out as the server is."
        raise FileNotFoundError(msg)
    places = {remote: folder / remote.path for remote in remotes}
    for remote, path in places.items():
        if path.is_file() and not _is_here(remote, path):
            msg = f"{path} is not the published file: its checksum is not {remote.hash}."
            raise ValueError(msg)
    return {remote: path if path.is_file() else None for remote, path in places.items()}


def _url(base_url: str | Path, remote: Remote) -> str:
    return f"{str(base_url).rstrip('/')}/{remote.path}"


def part_of(path: Path) -> Path:
    """What has come of a file so far."""
    return path.with_name(f"{path.name}.part")


def _is_here(remote: Remote, path: Path) -> bool:
    """Whether a file is there, and is the published one."""
    import pooch

    return path.is_file() and (remote.hash is None or pooch.hashes.hash_matches(path, remote.hash))


def _announce(sizes: dict[Remote, int | None], folder: Path) -> None:
    """Say how much there is to download, and stop before the disk is full."""
    wanted = {remote: size for remote, size in sizes.items() if size is not None}
    left = 0
    for remote, size in wanted.items():
        part = part_of(folder / remote.path)
        left += max(0, size - (part.stat().st_size if part.exists() else 0))
    above = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(above).free
    if left > free:
        msg = (
            f"There are {left / 1e9:.1f} GB to download, but {above} has {free / 1e9:.1f} GB free: choose another "
            "folder with epiattn.settings.cache_dir."
        )
        raise OSError(errno.ENOSPC, msg)
    unknown = sum(size < 0 for size in wanted.values())
    sized = f"{left / 1e9:.2f} GB" + (f" and {unknown} of unknown size" if unknown else "")
    logger.info("To download: %d files, %s, into %s.", len(wanted), sized, folder)


# --- one file ---------------------------------------------------------------------------------------------------------


class _Again(Exception):
    """An attempt that failed in a way that may pass, and the seconds that the server asks to wait."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


def _size(session: requests.Session, url: str, path: Path) -> int | None:
    """Bytes of a file on a server; -1 where it does not tell; ``None`` where there is no such file."""
    reply = _persist(lambda: _ask(session, url), url, path)
    if reply.status_code in _GONE:
        return None
    return int(reply.headers.get("Content-Length", -1)) if reply.ok else -1  # not every server answers HEAD


def _ask(session: requests.Session, url: str) -> requests.Response:
    reply = session.head(url, allow_redirects=True, timeout=_TIMEOUT, headers={"Accept-Encoding": "identity"})
    if reply.status_code in _BUSY:
        raise _Again(_status(reply), _retry_after(reply))
    return reply


def _download(session: requests.Session, url: str, remote: Remote, path: Path) -> None:
    """Through pooch, which checks the sum and moves the file into place when it is whole and right."""
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)  # it advises to note the checksum of each file without one

    def downloader(url: str, output_file: str, _: Any) -> None:
        _persist(lambda: _receive(session, url, path), url, path)
        part_of(path).replace(output_file)
        _validator_of(path).unlink(missing_ok=True)

    try:
        pooch.retrieve(url, remote.hash, fname=path.name, path=path.parent, downloader=downloader)
    except ValueError as error:
        msg = (
            f"{path.name} from {url} is not the published file: {error} Nothing was kept. Call again to download it "
            f"anew; or get it from elsewhere and place it at {path}."
        )
        raise ValueError(msg) from error


def _persist(attempt: Any, url: str, path: Path) -> Any:
    """Try until it works; attempts that bring something do not count.

    Raises
    ------
    ConnectionError, FileNotFoundError
        If it does not.
    """
    import requests
    import urllib3

    part, left, size = part_of(path), RETRIES, -1
    while True:
        try:
            return attempt()
        except (_Again, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            reached = part.stat().st_size if part.exists() else 0
            left, size = (RETRIES if reached > size >= 0 else left), reached
            if left == 0:
                kept = f" {reached:,} bytes are kept, a new call goes on there." if reached else ""
                msg = f"{path.name} could not be downloaded from {url}: {error}.{kept}{_advice(path)}"
                raise ConnectionError(msg) from error
            wait = min(_MOST_WAIT, max(getattr(error, "wait", 0.0), WAIT * 2 ** (RETRIES - left)))
            logger.info("%s: %s; trying again in %.0f s.", path.name, error, wait)
            time.sleep(wait)
            left -= 1


def _advice(path: Path) -> str:
    return f" Or place the file at {path} by hand, or give the address of a mirror as base_url."


def _receive(session: requests.Session, url: str, path: Path) -> None:
    """Append to the part of a file what it lacks; returns when it is whole."""
    part = part_of(path)
    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if _validator_of(path).exists():  # else the file may have changed meanwhile: then all of it comes
            headers["If-Range"] = _validator_of(path).read_text(encoding="ascii")
    with session.get(url, stream=True, timeout=_TIMEOUT, headers=headers) as reply:
        if reply.status_code in _BUSY:
            raise _Again(_status(reply), _retry_after(reply))
        if reply.status_code == 416:  # there is nothing after what we have
            if reply.headers.get("Content-Range", "").endswith(f"/{have}"):
                return
            part.unlink()
            msg = f"the file is not as long as the {have:,} bytes that came before"
            raise _Again(msg)
        if not reply.ok:
            msg = f"{path.name} could not be downloaded from {url}: {_status(reply)}.{_advice(path)}"
            raise FileNotFoundError(msg) if reply.status_code in _GONE else PermissionError(msg)
        if reply.status_code != 206 or not reply.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0  # the whole file comes
        length = reply.headers.get("Content-Length")
        total = None if length is None else have + int(length)
        _keep_validator(reply, path)
        _write(reply, part, have, total)
    if total is not None and (came := part.stat().st_size) != total:
        msg = f"the connection was closed after {came:,} of {total:,} bytes"
        raise _Again(msg)


def _write(reply: requests.Response, part: Path, have: int, total: int | None) -> None:
    bar = tqdm(
        desc=part.stem,
        initial=have,
        total=total,
        unit="B",
        unit_scale=True,
        leave=False,
        disable=not settings.progress,
        dynamic_ncols=True,
    )
    with bar, part.open("ab" if have else "wb") as file:
        for chunk in _chunks(reply):
            file.write(chunk)
            bar.update(len(chunk))


def _chunks(reply: requests.Response) -> Iterator[bytes]:
    """As they come: what arrived before a connection broke is not lost."""
    while chunk := reply.raw.read(_CHUNK, decode_content=False):
        yield chunk


def _validator_of(path: Path) -> Path:
    """Note of the version that the part is of."""
    return path.with_name(f"{path.name}.version")


def _keep_validator(reply: requests.Response, path: Path) -> None:
    version = reply.headers.get("ETag", "")
    if not version or version.startswith("W/"):  # weak: not for ranges
        version = reply.headers.get("Last-Modified", "")
    if version:
        _validator_of(path).write_text(version, encoding="ascii", errors="replace")
    else:
        _validator_of(path).unlink(missing_ok=True)


def _retry_after(reply: requests.Response) -> float:
    text = reply.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0


def _status(reply: requests.Response) -> str:
    return f"the server answers {reply.status_code} {reply.reason}"
