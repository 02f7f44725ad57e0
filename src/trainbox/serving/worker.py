"""The answering process: ``python -m trainbox.serving.worker FD``. One interpreter per model, one question at a time.

It ends when the talking process does, however that went: the socket then ends. It loads no more than answering needs.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from trainbox import tasks
from trainbox.data.files import UnreadableFile
from trainbox.errors import TrainboxError
from trainbox.export.bundle import Bundle
from trainbox.serving import wire
from trainbox.serving.settling import settle

Answer = tuple[Mapping[str, Any], Sequence[bytes]]


def main() -> None:
    """Answer what comes over the socket whose number is the first argument, until it ends."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # Whoever stops the group means the talking process, which then ends us.
    _import_early()
    models: dict[str, tasks.Served] = {}
    with socket.socket(fileno=int(sys.argv[1])) as connection, connection.makefile("rwb") as stream:
        while True:
            try:
                head, parts = wire.read(stream)
            except (EOFError, ConnectionError):
                os._exit(0)  # Nothing is open that would have to be closed, and taking Python apart takes time.
            answer, bodies = _KINDS[head["kind"]](models, head, parts)
            stream.write(wire.packed({**answer, "number": head["number"]}, bodies))
            stream.flush()


def _import_early() -> None:
    """Import what every model needs, while the talking process is still looking for it."""
    for module in ("numpy", "PIL.Image", "ai_edge_litert.interpreter"):
        with contextlib.suppress(ImportError):  # said by whoever needs it
            import_module(module)


def _load(models: dict[str, tasks.Served], head: Mapping[str, Any], _: Sequence[bytes]) -> Answer:
    """Open a model and warm it up."""
    try:
        # Its files were compared with the manifest by whoever sent us here.
        bundle = Bundle(Path(head["folder"]), head["manifest"])
        served = tasks.at(head["task"]).service().open(bundle, head["file"])
        served.word(served.answer(served.see(_PICTURE), None), "")
        served.forget()
    except TrainboxError as error:
        return {"error": str(error)}, ()
    except MemoryError:
        return {"error": "Memory ran out.", "memory": True}, ()
    except Exception as error:  # the interpreter raises what it likes
        return {"error": f"The model does not run: {type(error).__name__}: {error}"}, ()
    models[head["model"]] = served
    del bundle
    settle()
    return {"in_order": served.in_order}, ()


def _unload(models: dict[str, tasks.Served], head: Mapping[str, Any], _: Sequence[bytes]) -> Answer:
    models.pop(head["model"], None)
    settle()
    return {}, ()


def _ask(models: dict[str, tasks.Served], head: Mapping[str, Any], pictures: Sequence[bytes]) -> Answer:
    """Answer pictures in turn: JSON for each, or why there is none under its place in ``errors``.

    ``failed`` are the places of those that can be read, and that the model has no answer to.
    """
    served, errors, failed, bodies = models[head["model"]], {}, [], []
    times = {"decode": 0.0, "inference": 0.0}
    served.forget()
    for place, picture in enumerate(pictures):
        try:
            bodies.append(_answered(served, picture, head, times))
        except UnreadableFile as error:
            errors[place] = error.reason
            bodies.append(b"")
        except Exception as error:  # the interpreter raises what it likes, and one picture is no reason to end
            print(f"No answer to a picture: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            errors[place] = "the model has no answer to it"
            failed.append(place)
            bodies.append(b"")
    return {"errors": errors, "failed": failed, "seconds": times}, bodies


def _answered(served: tasks.Served, picture: bytes, head: Mapping[str, Any], times: dict[str, float]) -> bytes:
    began = time.perf_counter()
    seen = served.see(picture)
    decoded = time.perf_counter()
    answer = served.answer(seen, head["threshold"])
    times["decode"] += decoded - began
    times["inference"] += time.perf_counter() - decoded
    return json.dumps(served.word(answer, head["wording"]), allow_nan=False).encode()


_KINDS: Mapping[str, Callable[[dict[str, tasks.Served], Mapping[str, Any], Sequence[bytes]], Answer]] = {
    "load": _load,
    "unload": _unload,
    "ask": _ask,
}

_PICTURE = bytes.fromhex(
    "424d46000000000000003600000028000000020000000200000001001800000000001000000000000000000000000000000000000000"
    "80808080808000008080808080800000"
)
"""A bitmap of two by two grey pixels: reason enough to run everything once before the first client asks."""

if __name__ == "__main__":
    main()
