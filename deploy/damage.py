"""Damaged bodies, for fuzz.py and the tests: good ones with bytes changed, cut out, doubled or put in, and lies written by hand."""

from __future__ import annotations

import gzip
import io
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from . import wire

BEGINNING = 400
"""Bytes in which most of a form's structure lies, and most of the damage."""

WORDS = (b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x00\x00\x00\x10")
TOKENS = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"-0",
    b"null",
    b"true",
    b'"x"',
    b"{}",
    b"[]",
    b"[" * 300,
    b"1" * 400,
    b"\\ud800",
)


@dataclass(frozen=True)
class Body:
    """What is sent: bytes, the form they are said to have, and headers beside it."""

    form: str
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)


def trapped(folder: str) -> bytes:
    """A pickle whose reading makes this folder. Written by hand: nothing here knows pickle."""
    return f"cposix\nmkdir\n(V{folder}\ntR.".encode()


def good(windows: np.ndarray) -> dict[str, bytes]:
    """A body of each form that holds these windows (n, channel, time)."""
    return {wire.JSON: as_json(windows), wire.NPY: as_npy(windows), wire.ARROW: as_arrow(windows)}


def as_json(windows: np.ndarray) -> bytes:
    return json.dumps({"windows": np.asarray(windows, float).round(4).tolist()}).encode()


def as_npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def as_arrow(windows: np.ndarray) -> bytes:
    import pyarrow as pa

    from .arrow import stream

    kind = pa.list_(pa.list_(pa.float32()))
    return stream(pa.record_batch({"window": pa.array(windows.tolist(), kind)}))


def damaged(form: str, body: bytes, rng: np.random.Generator) -> bytes:
    """One to four injuries; of JSON also tokens that do not belong, of the binary forms also lying numbers."""
    held = bytearray(body)
    for _ in range(rng.integers(1, 5)):
        if not held:
            break
        at = int(rng.integers(len(held) if rng.random() < 0.3 else min(len(held), BEGINNING)))
        match rng.integers(7):
            case 0:
                held[at] = rng.integers(256)
            case 1:
                held[at] ^= 1 << int(rng.integers(8))
            case 2:
                del held[at : at + int(rng.integers(1, 16))]
            case 3:
                held[at:at] = rng.bytes(int(rng.integers(1, 9)))
            case 4:
                held[at : at + 4] = WORDS[rng.integers(len(WORDS))]
            case 5:
                held = held[: at + 1] if rng.random() < 0.3 else held + held[at:]
            case _ if form == wire.JSON:
                commas = [i for i, byte in enumerate(held[:4000]) if byte in b",["]
                at = commas[rng.integers(len(commas))] + 1 if commas else at
                held[at:at] = TOKENS[rng.integers(len(TOKENS))]
            case _:  # a length or an offset, which lie at whole words
                at -= at % 8
                held[at : at + 8] = struct.pack("<q", int(rng.choice([-1, 2**31, 2**40, 2**62, len(held)])))
    return bytes(held)


def lies(trap: str) -> Iterator[Body]:
    """Bodies that nothing but malice writes. trap: a folder that exists only after somebody read a pickle."""
    for body in _of_json():
        yield body
        yield Body(body.form, body.content + b" " * wire.LARGE)  # a large one has another reader
    yield from _of_npy(trap)
    yield from _of_arrow()
    bomb = gzip.compress(b" " * 2**24)
    for how in ("gzip", "deflate", "br", "zstd", "identity, gzip"):
        yield Body(wire.JSON, bomb, {"Content-Encoding": how})
    for form in (
        *wire.FORMS,
        "",
        "text/plain",
        "application/x-pickle",
        "application/x-python-serialize",
        "multipart/form-data",
    ):
        yield Body(form, trapped(trap))
        yield Body(form, b"")


def _of_json() -> Iterator[Body]:
    for text in (
        '{"windows": ' + "[" * 30_000 + "]" * 30_000 + "}", "[" * 60_000, '{"a":' * 10_000 + "1" + "}" * 10_000,
        '{"windows": [[[NaN]]]}', '{"windows": [[[Infinity, -Infinity]]]}', '{"windows": [[[1e999]]]}', '{"windows": [[[1e-999]]]}',
        '{"windows": [[["1"]]]}', '{"windows": [[[true]]]}', '{"windows": {"0": [[1]]}}', '{"windows": [[1]], "windows": [[[1]]]}',
        '{"windows": [[[' + "9" * 5000 + "]]]}", '{"windows": [[[]]]}', '{"windows": [[]]}', '{"windows": []}', "null", "1", '""', "{}",
        '{"windows": [[[1], [2], [3]]], "' + "k" * 70_000 + '": 1}', '{"\\ud800": 1}', "\ufeff" + '{"windows": [[[1]]]}', "\0" * 100,
        '{"windows": [' + "[]," * 30_000 + "[]]}", "{" + ",".join(f'"{k}": 1' for k in range(20_000)) + "}",
        '{"windows": [[[1]]]} junk',
    ):  # fmt: skip
        yield Body(wire.JSON, text.encode())
    yield Body(wire.JSON, '{"windows": [[[1]]]}'.encode("utf-16"))
    yield Body(wire.JSON, b'{"windows": [[["\xff\xfe"]]]}')


def _of_npy(trap: str) -> Iterator[Body]:
    held = [_header("{'descr': '|O', 'fortran_order': False, 'shape': (1, 3, 20), }") + trapped(trap)]
    for kind in ("<U8", "S4", "?", "c16", "M8[s]", "m8[s]", "V4", [("a", "<f4"), ("b", "O")], [("a", "<f4")]):
        held.append(as_npy(np.zeros((1, 3, 20), kind)))
    sizes = (
        "(1000000000, 3, 20)", "(9223372036854775807, 9223372036854775807, 3)", "(-1, 3, 20)", "(1, 3, 10000000000)", "(0, 0, 0)",
        "(1e3, 3, 20)",
        "(True, 3, 20)", "()", "(3,)", "(1, 3, 20, 1)", "(" + "1," * 500 + ")", "(" * 80 + ")" * 80, "__import__('os').mkdir('x')",
        "(1, 3)",
    )  # fmt: skip
    for size in sizes:
        held.append(_header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {size}, }}") + bytes(240))
    for kind in (
        "'|O'",
        "'<f4000000000'",
        "'<f3'",
        "[('a', [('b', '<f4')])]",
        "('<f4', (1000000000,))",
        "'f4,' * 9",
        "'" + "(9999999,)f4" + "'",
    ):
        held.append(_header(f"{{'descr': {kind}, 'fortran_order': False, 'shape': (1, 3, 20), }}") + bytes(240))
    held += [
        b"\x93NUMPY\x03\x00" + struct.pack("<I", 2**32 - 1),
        b"\x93NUMPY\x01\x00\xff\xff",
        b"\x93NUMPY",
        trapped(trap),
    ]
    yield from (Body(wire.NPY, one) for one in held)


def _header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n"


def _of_arrow() -> Iterator[Body]:
    import pyarrow as pa

    def written(column: object, **options: object) -> bytes:
        sink, batch = pa.BufferOutputStream(), pa.record_batch({"window": column})
        with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as out:
            out.write_batch(batch)
        return bytes(sink.getvalue())

    floats = pa.list_(pa.list_(pa.float32()))
    many = pa.array([[[0.0] * 100_000] * 3], floats)
    for codec in ("zstd", "lz4"):
        yield Body(wire.ARROW, written(many, compression=codec))
    columns = [
        pa.array([[["1"]]], pa.list_(pa.list_(pa.string()))), pa.array([b"x"]), pa.array([None], floats), pa.array([[None]], floats),
        pa.nulls(100_000),
        pa.array([[[1]]], pa.list_(pa.list_(pa.int64()))), pa.array([[[[1.0]]]]), pa.array([1.0]),
        pa.array(["a"] * 9).dictionary_encode(),
        pa.array([[], [[]], [[1.0], [1.0, 2.0]]], floats), pa.array([{"a": 1}]), pa.array([[[1.0]]] * 5000, floats),
    ]  # fmt: skip
    yield from (Body(wire.ARROW, written(column)) for column in columns)
    # offsets that go back, and beyond the values: pyarrow writes none, so they are put into a good stream
    right = written(pa.array([[[1.0, 2.0, 3.0]] * 3], floats))
    edges = np.array([0, 3, 6, 9], np.int32).tobytes()
    for offsets in ([0, 2**30, 6, 9], [9, 0, 3, 6], [-5, 1, 3, 9], [0, 3, 6, 2**31 - 1], [0, 0, 0, 2**20]):
        yield Body(wire.ARROW, right.replace(edges, np.array(offsets, np.int32).tobytes()))
    begun = written(pa.array([[[1.0]] * 3], floats))
    yield Body(wire.ARROW, begun[: len(begun) // 2])
    yield Body(wire.ARROW, begun * 3)
    yield Body(wire.ARROW, b"\xff\xff\xff\xff" + struct.pack("<i", 2**31 - 1))
    yield Body(wire.ARROW, b"ARROW1\0\0" + begun)
