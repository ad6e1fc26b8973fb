"""What the service counts, for Prometheus. Labels are bounded: routes, models, statuses and reasons that are written down here or named
at the start; a client can not make new ones.

route:  path of the document with the model's name taken out: /v1/embed, also for /v1/models/NAME/embed; "none" where there is none.
model:  name of the model that answered; "" where none was asked.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram, multiprocess

from .refusal import STATUS

NONE = "none"
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUESTS = Counter("tsrep_requests", "Requests that were answered", ["route", "model", "status"])
TOOK = Histogram(
    "tsrep_request_seconds",
    "Seconds from a request's head to the end of its answer",
    ["route", "model"],
    buckets=SECONDS,
)
RUNNING = Gauge("tsrep_requests_running", "Requests that are worked on", multiprocess_mode="livesum")
BATCH = Histogram(
    "tsrep_batch_windows",
    "Windows that went through the encoder together",
    ["model"],
    buckets=[2**i for i in range(11)],
)
INFERENCE = Histogram("tsrep_inference_seconds", "Seconds in the encoder, of a batch", ["model"], buckets=SECONDS)
QUEUED = Histogram("tsrep_queue_seconds", "Seconds that windows waited for the encoder", ["model"], buckets=SECONDS)
WAITING = Gauge(
    "tsrep_queue_windows", "Windows that wait for the encoder or are in it", ["model"], multiprocess_mode="livesum"
)
ROOM = Gauge("tsrep_queue_room", "Windows that may wait at most", ["model"], multiprocess_mode="livemax")
LOADED = Gauge(
    "tsrep_model_loaded_timestamp_seconds",
    "When the model was loaded or exchanged",
    ["model"],
    multiprocess_mode="livemax",
)
RELOADS_FAILED = Counter("tsrep_reloads_failed", "New models that did not load, so that the old one stayed", ["model"])
REFUSED = Counter("tsrep_rejected", "Requests that were refused, by reason", ["reason"])
DRIFT = Gauge("tsrep_drift", "MMD² of the recent embeddings and the training's", ["model"], multiprocess_mode="livemax")
DRIFT_THRESHOLD = Gauge(
    "tsrep_drift_threshold", "What MMD² exceeds once in a hundred without drift", ["model"], multiprocess_mode="livemax"
)
DRIFT_WINDOWS = Gauge("tsrep_drift_windows", "Recent windows that are compared", ["model"], multiprocess_mode="livesum")

for _reason in STATUS:  # so that a rate is zero, not unknown, until the first refusal
    REFUSED.labels(reason=_reason)


def begin(models: tuple[str, ...]) -> None:
    """Makes the rows of these models, so that they are zero and not unknown before the first request."""
    for model in models:
        for meter in (BATCH, INFERENCE, QUEUED, WAITING, RELOADS_FAILED):
            meter.labels(model=model)


def forget_the_dead() -> None:
    """Gauges of workers that were killed: nobody else takes them away, and an autoscaler would follow the queue of a dead worker."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    for file in Path(folder).glob("gauge_live*_*.db") if folder else ():
        pid = file.stem.rsplit("_", 1)[-1]
        if pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            with suppress(OSError):
                multiprocess.mark_process_dead(int(pid))
