"""The token bucket: a rate that holds in the long run, and a burst that may come at once."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic


class Buckets:
    """One bucket for each name; names are those of keys, so that there are never more than keys.

    rate: tokens a minute that flow in. burst: as many as a bucket holds.
    """

    def __init__(self, rate: int, burst: int, now: Callable[[], float] = monotonic) -> None:
        self._pace, self._burst, self._now = rate / 60, float(burst), now
        self._held: dict[str, tuple[float, float]] = {}

    def take(self, name: str) -> float:
        """0 where there was a token to take, else the seconds until there is one."""
        now = self._now()
        tokens, since = self._held.get(name, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._pace)
        taken = tokens >= 1
        self._held[name] = (tokens - taken, now)
        return 0.0 if taken else (1 - tokens) / self._pace
