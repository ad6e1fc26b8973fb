"""The npy form: one array (n, channel, time) in, (n, feature) or (n, feature, time) out. Nothing is ever unpickled.

int8 comes as an array (n,) of records with the fields `scale` (float32) and `embedding` (int8, feature).
"""

from __future__ import annotations

import io
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from .refusal import Refused
from .settings import Settings
from .windows import Block, counted, whole

LONGEST_HEADER = 4096


def read(body: bytes, settings: Settings) -> list[Block]:
    """The header is judged before anything is allocated: type, shape, and that the body holds exactly what it promises."""
    try:
        shape, fortran, kind, begin = _header(body[: _end(body)])
    except Exception as error:  # of many kinds: ValueError, SyntaxError, TypeError, RecursionError, …
        message = f"expected an array in npy format, its header does not read: {str(error)[:200]}"
        raise Refused("malformed", message) from None
    if kind.hasobject or kind.kind not in "iuf":
        message = f"expected an array of real numbers (float32 is best), got {kind}; Python objects are never unpickled"
        raise Refused("malformed", message, expected="float32", got=str(kind))
    if len(shape) != 3 or any(isinstance(size, bool) or size < 0 for size in shape):
        hint = ": add an axis with x[None] for one window" if len(shape) == 2 else ""
        message = f"expected an array (n, channel, time), got shape {shape}{hint}"[:300]
        raise Refused("shape", message, expected=3, got=len(shape))
    counted(shape[0], settings)
    promised, held = prod(shape) * kind.itemsize, len(body) - begin
    if promised != held:
        message = f"expected {promised} bytes of data for shape {shape} of {kind}, got {held}"
        raise Refused("malformed", message, expected=promised, got=held)
    flat = np.frombuffer(body, kind, offset=begin)
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused as such
        return whole(np.ascontiguousarray(flat.reshape(shape, order="F" if fortran else "C"), np.float32))


def write(embeddings: np.ndarray, scale: np.ndarray | None = None) -> bytes:
    if scale is not None:
        records = np.empty(len(embeddings), [("scale", "<f4"), ("embedding", "i1", embeddings.shape[1:])])
        records["scale"], records["embedding"] = scale, embeddings
        embeddings = records
    return _written(embeddings.dtype, embeddings.shape) + embeddings.tobytes()


def _end(body: bytes) -> int:
    """Where the header ends by its own word, which is not believed beyond the longest."""
    size = 2 if body[6:7] == b"\x01" else 4
    return 8 + size + min(int.from_bytes(body[8 : 8 + size], "little"), LONGEST_HEADER + 1)


@lru_cache(256)
def _header(head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, order, type and where the data begin. Kept, for clients send the same again and again and it takes longer than they."""
    file = io.BytesIO(head)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return *read(file, max_header_size=LONGEST_HEADER), file.tell()


@lru_cache(256)
def _written(kind: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The header of an array that lies row by row."""
    file = io.BytesIO()
    told = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, told)
    return file.getvalue()
