"""Metrics of the service, for Prometheus."""

import math
from collections import deque
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
# Images over which the share of unfamiliar ones is taken.
_LATEST_IMAGES = 1000
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one service; each service has its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "crackgate_requests", "Requests answered.", ["interface", "method", "code"], registry=registry
        )
        self.seconds = Histogram(
            "crackgate_request_seconds",
            "Seconds from a request's first line to its answer.",
            ["interface", "method"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.rejected = Counter("crackgate_rejected", "Requests refused.", ["reason"], registry=registry)
        self.images = Counter("crackgate_images", "Images scored or not scorable.", ["outcome"], registry=registry)
        self._latest: deque[bool] = deque(maxlen=_LATEST_IMAGES)
        self._unfamiliar = Gauge(
            "crackgate_unfamiliar_share",
            f"Share of the latest {_LATEST_IMAGES} scored images that are unlike the training images.",
            registry=registry,
        )
        # No share of no image.
        self._unfamiliar.set(math.nan)
        self.batch_images = Histogram(
            "crackgate_batch_images", "Images scored together.", buckets=_IMAGES, registry=registry
        )
        self.batch_seconds = Histogram(
            "crackgate_batch_seconds", "Decoding and scoring of one batch.", buckets=_SECONDS, registry=registry
        )
        self.queued = Gauge("crackgate_queued_images", "Images that wait for their turn.", registry=registry)
        self.buffered = Gauge("crackgate_buffered_bytes", "Request bodies held in memory.", registry=registry)
        self.version = Gauge(
            "crackgate_model_version", "The version that answers; 0 while none does.", registry=registry
        )
        self.loads = Counter("crackgate_model_loads", "New versions met.", ["outcome"], registry=registry)
        self.refused_version = Gauge(
            "crackgate_model_refused_version",
            "The newest version, where it was refused; otherwise 0.",
            registry=registry,
        )
        self.passed_over_version = Gauge(
            "crackgate_model_passed_over_version",
            "The newest version above the one that should answer that is incomplete; otherwise 0.",
            registry=registry,
        )
        for outcome in ("loaded", "refused"):
            self.loads.labels(outcome)

    def add_unfamiliar(self, flags: Sequence[bool]) -> None:
        """Counts scored images of a model that can tell, and whether each is unfamiliar."""
        self._latest.extend(flags)
        if self._latest:
            self._unfamiliar.set(sum(self._latest) / len(self._latest))

    def render(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._registry)
