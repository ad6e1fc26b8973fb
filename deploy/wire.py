"""The forms of a body: which one a client sends and wants, and JSON itself.

JSON in:  {"windows": [window, …]}, a window being [[channel 0's steps], [channel 1's steps], …]; null is missing.
JSON out: {"model", "pool", "dtype", "features", "embeddings": [[…], …]}, in the order of the windows; of int8 also "scale".
npy of steps has NaN behind the end of shorter windows, as `Model.embed`; JSON and Arrow give each its own length.

A large body is read and written beside the event loop, which goes on: small parts of the work hold the interpreter's lock, and large
JSON is read by Arrow, which holds it not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, FailFast, TypeAdapter, ValidationError
from pydantic_core import to_json
from typing_extensions import TypedDict

from . import arrow, npy
from .numbers import Sent
from .refusal import Refused
from .settings import Settings
from .windows import Block, counted, grouped, padded, whole

JSON = "application/json"
NPY = "application/x-npy"
ARROW = "application/vnd.apache.arrow.stream"
FORMS = (JSON, NPY, ARROW)

_Steps = Annotated[list[float | None], FailFast()]
Window = Annotated[list[_Steps], FailFast()]
STRICT = ConfigDict(strict=True, extra="allow")
"""Unknown keys are let through here and refused in `parsed`: a million of them would be a million errors."""


class _Body(TypedDict):
    __pydantic_config__ = STRICT  # type: ignore[misc]
    windows: Annotated[list[Window], FailFast()]


_BODY = TypeAdapter(_Body)


LARGE = 2**16
"""Bytes of JSON beyond which it is read by Arrow."""


@dataclass(frozen=True)
class Answer:
    """Embeddings of a request, and what JSON says beside them."""

    sent: Sent
    pool: str | None
    model: str


@dataclass(frozen=True)
class Classes:
    """What a head says: classes, and (n, class) float32 probabilities."""

    classes: tuple[str, ...]
    probability: np.ndarray
    model: str

    @property
    def label(self) -> list[str]:
        return [self.classes[i] for i in self.probability.argmax(axis=1)]


@dataclass(frozen=True)
class Forecasts:
    """What a forecasting head says: (n, channel, horizon) float32 in the units of the data."""

    values: np.ndarray
    channels: tuple[str, ...]
    model: str


def form_of(content_type: str | None, forms: Sequence[str] = FORMS) -> str:
    """The form of a request's body. Refused (415) where it is none of these."""
    form = (content_type or "").split(";", 1)[0].strip().lower()
    if form not in forms:
        message = f"expected Content-Type to be one of {', '.join(forms)}, got {form or 'none'}"
        raise Refused("content_type", message, expected=list(forms), got=form)
    return form


def wanted(accept: str | None, forms: Sequence[str] = FORMS) -> str:
    """The form that a client prefers among ours, JSON where it takes anything. Refused (406) where it takes none."""
    if not accept or accept == "*/*":
        return JSON
    ranked: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept.lower().split(",")):
        kind, *parameters = (text.strip() for text in part.split(";"))
        ranked.append((-_quality(parameters), place, kind))
    for negative, _, kind in sorted(ranked):
        for form in forms:
            if negative < 0 and kind in (form, "*/*", form.split("/")[0] + "/*"):
                return form
    message = f"expected Accept to allow one of {', '.join(forms)}, got {accept[:200]}"
    raise Refused("accept", message, expected=list(forms), got=accept[:200])


def read(form: str, body: bytes, settings: Settings) -> list[Block]:
    """The windows of a body. Refused (413, 422) where there are too many, or it does not read."""
    return {JSON: _from_json, NPY: npy.read, ARROW: arrow.read}[form](body, settings)


def write(form: str, answer: Answer) -> bytes:
    if form == JSON:
        return _to_json(answer)
    if form == ARROW:
        return arrow.write(answer.sent)
    values = answer.sent.values
    return npy.write(values if isinstance(values, np.ndarray) else padded(values), answer.sent.scale)


def write_classes(form: str, said: Classes) -> bytes:
    """npy holds the probabilities alone."""
    if form == NPY:
        return npy.write(said.probability)
    if form == ARROW:
        return arrow.write_classes(said.label, said.probability)
    told = {"model": said.model, "classes": said.classes, "label": said.label}
    return to_json({**told, "probability": said.probability.tolist()})


def write_forecasts(form: str, said: Forecasts) -> bytes:
    """As embeddings of steps are sent: Arrow has a column `forecast` of list<list<float>>, npy (n, channel, horizon)."""
    if form == NPY:
        return npy.write(said.values)
    if form == ARROW:
        return arrow.write_lists("forecast", list(said.values))
    told = {"model": said.model, "channels": said.channels, "horizon": said.values.shape[2]}
    return to_json({**told, "forecasts": said.values.tolist()})


def write_neighbours(form: str, found: Sequence[Sequence[Any]], told: dict[str, Any]) -> bytes:
    """found: `vectors.Found`, of each query, by distance; their metadata are JSON already. told: what JSON says beside them."""
    if form == ARROW:
        return arrow.write_neighbours(found)
    parts = [b",".join(_neighbour(one) for one in each) for each in found]
    return to_json(told)[:-1] + b',"neighbours":[' + b",".join(b"[" + part + b"]" for part in parts) + b"]}"


def parsed(adapter: TypeAdapter[Any], body: bytes, keys: Sequence[str], like: str) -> dict[str, Any]:
    """A body of JSON as the adapter has it, `like` being an example. Refused where it reads otherwise, or holds other keys."""
    try:
        held: dict[str, Any] = adapter.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = "".join(f"[{part}]" if isinstance(part, int) else str(part) for part in first["loc"])
        message = f"expected JSON such as {like}, got at {where or 'the top'}: {first['msg']}"
        raise Refused("malformed", message, expected=like, got=first["type"]) from None
    other = next((key[:50] for key in held if key not in keys), None)
    if other is not None:
        told = f"the one key '{keys[0]}'" if len(keys) == 1 else f"no keys but {', '.join(keys)}"
        raise Refused("malformed", f"expected {told}, got also '{other}'", expected=list(keys), got=other)
    return held


def windows_of(windows: Sequence[Window], settings: Settings) -> list[Block]:
    """Windows that JSON held."""
    counted(len(windows), settings)
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused as such
        if len({len(steps) for window in windows for steps in window}) == len({len(window) for window in windows}) == 1:
            return whole(np.array(windows, np.float32))
        return grouped([_array(window, row) for row, window in enumerate(windows)])


def _from_json(body: bytes, settings: Settings) -> list[Block]:
    if len(body) > LARGE:
        return arrow.read_json(body, settings)
    return windows_of(parsed(_BODY, body, ["windows"], '{"windows": [[[0.1, null, 0.3]]]}')["windows"], settings)


def _array(window: list[list[float | None]], row: int) -> np.ndarray:
    """(channel, time) of one window."""
    lengths = sorted({len(steps) for steps in window})
    if len(lengths) > 1:
        message = f"expected all channels of a window to be of one length, got {lengths[:8]} in window {row}"
        raise Refused("shape", message, got=lengths[:8])
    return np.array(window, np.float32).reshape(len(window), lengths[0] if lengths else 0)


def _to_json(answer: Answer) -> bytes:
    """Written window by window, so that no other thread waits for all of them."""
    sent = answer.sent
    told: dict[str, Any] = {"model": answer.model, "pool": answer.pool, "dtype": sent.dtype, "features": sent.features}
    if sent.scale is not None:
        told["scale"] = sent.scale.tolist()
    head = to_json(told)
    # NaN: steps before the first and after the last observed one
    parts = [to_json(one.tolist(), inf_nan_mode="null") for one in sent.values]
    return b"".join([head[:-1], b',"embeddings":[', b",".join(parts), b"]}"])


def _neighbour(one: Any) -> bytes:
    metadata: bytes = one.metadata.encode()
    return to_json({"id": one.id, "distance": one.distance})[:-1] + b',"metadata":' + metadata + b"}"


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
