"""The one error that means: what was given is wrong, and here is what to do about it."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input. The message says what was expected, what came, and what to do; the CLI prints it without a traceback."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a mistyped name: `did you mean 'temperature'?`, or the names that exist when none is close."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else "known are: " + ", ".join(sorted(known))
