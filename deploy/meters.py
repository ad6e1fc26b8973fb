"""What the service counts beside BentoML's own metrics. Labels are bounded: a client can not make new ones."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from .refusal import STATUS

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

BATCH = Histogram(
    "tsrep_batch_windows", "Windows that went through the encoder together", buckets=[2**i for i in range(11)]
)
INFERENCE = Histogram("tsrep_inference_seconds", "Seconds in the encoder, of a batch", buckets=SECONDS)
QUEUED = Histogram("tsrep_queue_seconds", "Seconds that windows waited for the encoder", buckets=SECONDS)
WAITING = Gauge("tsrep_queue_windows", "Windows that wait for the encoder or are in it", multiprocess_mode="livesum")
REFUSED = Counter("tsrep_rejected", "Requests that were refused, by reason", ["reason"])

for _reason in STATUS:  # so that a rate is zero, not unknown, until the first refusal
    REFUSED.labels(reason=_reason)
