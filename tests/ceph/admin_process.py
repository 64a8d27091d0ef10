"""What an administrator does to images: by the process of the mover, with any call of librbd's."""

from __future__ import annotations

import importlib.util
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "src" / "refloat" / "movers" / "rbd_process.py"


def call(image: Any, asked: dict[str, Any], _data: bytes) -> dict[str, Any]:
    found = getattr(image, asked["method"])(*asked["arguments"])
    return {"result": found if isinstance(found, (int, str, type(None))) else list(found)}


def pool(cluster: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """A call with a pool: names of other pools in ``asked`` stand for them."""
    rbd = import_module("rbd")
    with cluster.open_ioctx(asked["pool"]) as ioctx:
        method, arguments, options = getattr(rbd.RBD(), asked["method"]), asked["arguments"], asked["options"]
        if asked["method"] != "clone":
            found = method(ioctx, *arguments, **options)
            return {"result": None if found is None else list(found)}
        with cluster.open_ioctx(asked["into"]) as into:
            method(ioctx, *arguments[:2], into, *arguments[2:], **options)
    return {"result": None}


def main() -> None:
    spec = importlib.util.spec_from_file_location("rbd_process", FILE)
    assert spec is not None
    assert spec.loader is not None
    process = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(process)
    process.REQUESTS["call"] = call
    process.SETTINGS.pop("librados_thread_count")  # with one, unprotect_snap() waits for itself
    answer = process.Requests.answer

    def answer_pools(self: Any, asked: dict[str, Any], data: bytes) -> Any:
        try:
            if asked["request"] == "pool":
                return pool(self.cluster, asked), b""
            if asked["request"] == "me":
                return {"result": str(self.cluster.get_instance_id())}, b""
        except Exception as error:
            return process.told(error, ""), b""
        return answer(self, asked, data)

    process.Requests.answer = answer_pools
    process.main(*sys.argv[1:])


if __name__ == "__main__":
    main()
