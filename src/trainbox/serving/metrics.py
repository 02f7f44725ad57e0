"""What is counted, for ``/metrics``: requests by status, where their time went, what was refused and why.

Prometheus' own client library would add 3 MB and a tenth of a second of start to a process that has little of either.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping

from trainbox.serving.bodies import Room
from trainbox.serving.interpreters import Interpreters
from trainbox.serving.models import Model
from trainbox.serving.questions import Observed

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Histogram:
    """How many values fell below each of ``BOUNDS``, seconds, and their sum."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count a value."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """Yield the histogram as Prometheus reads it."""
        below = 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self.counts, strict=True):
            below += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {below}'
        yield f"{name}_sum{{{labels}}} {self.sum:.6f}"
        yield f"{name}_count{{{labels}}} {below}"


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.refused: Counter[str] = Counter()
        self.stages = {stage: Histogram() for stage in ("queue", "decode", "inference", "total")}
        self.respawned = 0
        self._model = ""
        self._pool: Interpreters | None = None
        self._room = Room(0)

    def observed(self) -> Observed:
        """Return what the pool calls."""
        return Observed(self.stages["queue"].observe, self._worked, self._died)

    def follow(self, pool: Interpreters, room: Room) -> None:
        """Show what the pool and the requests hold, read whenever somebody asks."""
        self._pool, self._room = pool, room

    def tell(self, model: Model) -> None:
        """Say which model answers."""
        self._model = f'task="{model.manifest["task"]}",file="{model.file}",sha256="{model.digest}"'

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self.requests[route, status] += 1
        if route == "/invocations" and status == 200:
            self.stages["total"].observe(seconds)

    def text(self) -> str:
        """Return everything as Prometheus reads it."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield from _head("trainbox_requests_total", "counter", "Requests by route and status.")
        for (route, status), count in sorted(self.requests.items()):
            yield f'trainbox_requests_total{{route="{route}",status="{status}"}} {count}'
        yield from _head("trainbox_refused_total", "counter", "Requests refused, by reason.")
        for reason, count in sorted(self.refused.items()):
            yield f'trainbox_refused_total{{reason="{reason}"}} {count}'
        yield from _head("trainbox_interpreters_respawned_total", "counter", "Interpreter processes that died.")
        yield f"trainbox_interpreters_respawned_total {self.respawned}"
        yield from _head("trainbox_seconds", "histogram", "Where the time of an answer goes.")
        for stage, histogram in self.stages.items():
            yield from histogram.lines("trainbox_seconds", f'stage="{stage}"')
        yield from self._now()

    def _now(self) -> Iterator[str]:
        pool = self._pool
        if pool:
            for name, text, value in (
                ("trainbox_pictures_waiting", "Pictures in the queue.", pool.waiting),
                ("trainbox_pictures_working", "Pictures with an interpreter.", pool.working),
                ("trainbox_interpreters", "Interpreter processes that can answer.", pool.alive),
                ("trainbox_body_bytes", "Bytes of the bodies that are held.", self._room.held),
            ):
                yield from _head(name, "gauge", text)
                yield f"{name} {value}"
        if self._model:
            yield from _head("trainbox_model_info", "gauge", "The model that answers.")
            yield f"trainbox_model_info{{{self._model}}} 1"

    def _worked(self, seconds: Mapping[str, float]) -> None:
        for stage, value in seconds.items():
            self.stages[stage].observe(value)

    def _died(self, why: str) -> None:
        self.respawned += 1


def _head(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"
