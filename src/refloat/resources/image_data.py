"""Image data between Glance and the bank: streams in both directions, never a whole image in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import requests
from openstack import exceptions as sdk_exceptions

from refloat.cloud import Cloud, explained
from refloat.cloud.retries import in_doubt
from refloat.errors import CloudError

CHUNK = 1 << 20
AGAIN = 3
"""How often in a row data may break off without any of it having come."""

_BINARY = {"Content-Type": "application/octet-stream", "Accept": ""}


def download(cloud: Cloud, image: Mapping[str, Any], resource: object) -> Iterator[bytes]:
    """The data of an image in chunks; goes on where it broke off.

    :param image: its id, size and hash, as Glance tells them.
    :raises CloudError: the data broke off again and again, or is not what the hash says.
    """
    what = f"read the data of the image {image['id']}"
    algorithm = image.get("os_hash_algo") or "md5"
    expected = image.get("os_hash_value") or image.get("checksum")
    digest = hashlib.new(algorithm, usedforsecurity=False)
    done = 0
    hashed: Future[None] | None = None
    with ThreadPoolExecutor(1, thread_name_prefix="image-hash") as hasher:  # it takes longer than reading
        for chunk in _data(cloud, str(image["id"]), what, resource):
            if hashed is not None:
                hashed.result()
            hashed = hasher.submit(digest.update, chunk)
            done += len(chunk)
            yield chunk
    if image.get("size") is not None and done != image["size"]:
        raise CloudError(
            f"could not {what}",
            resource=str(resource),
            reason=f"Glance sent {done} bytes instead of {image['size']}",
        )
    if expected and digest.hexdigest() != expected:
        raise CloudError(
            f"could not {what}",
            resource=str(resource),
            reason=f"its {algorithm} is not what Glance says it is",
        )


def _data(cloud: Cloud, image_id: str, what: str, resource: object) -> Iterator[bytes]:
    """The data of an image; goes on where it broke off."""
    done = failures = 0
    while True:
        try:
            for chunk in _from(cloud, image_id, done, what, resource):
                done += len(chunk)
                failures = 0
                yield chunk
        except CloudError as exc:
            failures += 1
            if failures > AGAIN or not in_doubt(exc):
                raise
        else:
            return


def _from(cloud: Cloud, image_id: str, start: int, what: str, resource: object) -> Iterator[bytes]:
    """The data of an image from a place on."""
    with explained(what, resource):
        headers = {"Range": f"bytes={start}-"} if start else {}
        response = cloud.image.get(f"/images/{image_id}/file", stream=True, headers=headers)
        sdk_exceptions.raise_from_response(response)
    # A Glance that does not know ranges sends everything.
    surplus = start if response.status_code == 200 else 0
    try:
        if response.status_code == 204:  # there is no data
            return
        for chunk in response.iter_content(CHUNK):
            rest = chunk[surplus:]
            surplus -= len(chunk) - len(rest)
            if rest:
                yield rest
    except requests.RequestException as exc:
        raise CloudError(f"could not {what}", resource=str(resource), reason=str(exc)) from exc
    finally:
        response.close()


class Tally:
    """Adds up the progress of several streams."""

    def __init__(self, tell: Callable[[int, int], None], total: int) -> None:
        self._tell, self._total, self._before = tell, total, 0
        tell(0, total)

    def part(self, size: int) -> Callable[[int], None]:
        """How the next stream, of so many bytes, tells its own progress."""
        before = self._before
        self._before += size
        self._total = max(self._total, self._before)
        return lambda done: self._tell(before + done, self._total)


class Body:
    """A request body of known length that is read while it is sent, and again when it has to be sent again.

    Of known length, so that it is not sent in HTTP chunks, which some web servers in front of Glance refuse.
    """

    def __init__(
        self,
        open_data: Callable[[], Any],
        size: int,
        progress: Callable[[int], None],
        cancelled: Callable[[], None],
    ) -> None:
        self._open, self._size = open_data, size
        self._progress, self._cancelled = progress, cancelled

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        reader = self._open()
        done = 0
        while chunk := reader.read(CHUNK):
            self._cancelled()
            yield chunk
            done += len(chunk)
            self._progress(done)


def upload(cloud: Cloud, image_id: str, body: Body, resource: object) -> None:
    """Send the data of an image that has none yet.

    When this breaks off, Glance makes the image ``queued`` again, ready for another attempt.
    """
    what = f"write the data of the image {image_id}"
    try:
        with explained(what, resource):
            response = cloud.image.put(f"/images/{image_id}/file", data=body, headers=_BINARY)
            sdk_exceptions.raise_from_response(response)
    except requests.RequestException as exc:
        raise CloudError(f"could not {what}", resource=str(resource), reason=str(exc)) from exc
