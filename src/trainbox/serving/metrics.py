"""What is counted, for ``/metrics``: requests by status, where their time went, what was refused and why."""

import math
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from trainbox.serving.interpreters import Interpreters, Observed
from trainbox.serving.models import Model

MEDIA = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, math.inf)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "trainbox_requests", "Requests by route and status.", ("route", "status"), registry=self.registry
        )
        self._refused = Counter("trainbox_refused", "Requests refused, by reason.", ("reason",), registry=self.registry)
        self._seconds = Histogram(
            "trainbox_seconds", "Where an answer's time went: queue, decode, inference, total.", ("stage",),
            registry=self.registry, buckets=SECONDS,
        )
        self._respawned = Counter(
            "trainbox_interpreters_respawned", "Interpreter processes that died and were replaced.",
            registry=self.registry,
        )
        self._pictures = Counter("trainbox_pictures", "Pictures answered.", registry=self.registry)
        self._stages = {stage: self._seconds.labels(stage) for stage in ("queue", "decode", "inference", "total")}

    def observed(self) -> Observed:
        """Return what the pool calls."""
        return Observed(self._stages["queue"].observe, self._worked, lambda why: self._respawned.inc())

    def follow(self, interpreters: Interpreters) -> None:
        """Show what the pool holds, read whenever somebody asks."""
        for name, text, read in (
            ("trainbox_pictures_waiting", "Pictures in the queue.", lambda: interpreters.waiting),
            ("trainbox_pictures_working", "Pictures with an interpreter.", lambda: interpreters.working),
            ("trainbox_interpreters", "Interpreter processes that can answer.", lambda: interpreters.alive),
        ):
            Gauge(name, text, registry=self.registry).set_function(read)

    def tell(self, model: Model) -> None:
        """Say which model answers."""
        info = Info("trainbox_model", "The model that answers.", registry=self.registry)
        info.info({"task": str(model.manifest["task"]), "file": model.file, "sha256": model.digest})

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()
        if route == "/invocations" and status == 200:
            self._stages["total"].observe(seconds)

    def refused(self, reason: str) -> None:
        """Count a refusal."""
        self._refused.labels(reason).inc()

    def text(self) -> bytes:
        """Return everything as Prometheus reads it."""
        return generate_latest(self.registry)

    def _worked(self, seconds: Mapping[str, float]) -> None:
        self._pictures.inc()
        for stage, value in seconds.items():
            self._stages[stage].observe(value)
