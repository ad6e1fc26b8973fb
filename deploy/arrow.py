"""The Arrow stream form.

In:  one column `window` of list<list<float>>: a row is a window, its outer list the channels, each inner list that channel's
     steps. Windows may differ in length; null or NaN is missing. float16, float32 and float64, list, large_list and
     fixed_size_list are taken. Other columns are refused, and so are compressed streams (a few bytes may promise gigabytes).
Out: one column `embedding`, in the order of the windows: fixed_size_list<float>[feature], or for steps list<list<float>> of
     (feature, time), each as long as its window. The numbers are float, halffloat or int8, of which a column `scale` follows.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from .numbers import Sent
from .refusal import Refused
from .settings import Settings
from .windows import Block, counted, grouped

COLUMN = "window"
_OBJECT = re.compile(rb"[ \t\r\n]*\{")


def read(body: bytes, settings: Settings) -> list[Block]:
    """Every batch is validated in full before a number of it is looked at."""
    import pyarrow as pa

    try:
        _plain(body)
        return grouped(_all(pa.ipc.open_stream(body), settings))
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:  # a name that is not UTF-8 is a ValueError
        raise Refused("malformed", f"expected an Arrow stream, it is damaged: {str(error)[:200]}") from None


def read_entries(body: bytes, settings: Settings) -> tuple[list[str | None], list[Block], list[str | None]]:
    """A stream with the columns `id` and `metadata` (JSON, may be left out) of text beside the windows: ids, windows, metadata."""
    import pyarrow as pa

    try:
        _plain(body)
        stream = pa.ipc.open_stream(body)
        beside: dict[str, list[str | None]] = {"id": []}
        if "metadata" in stream.schema.names:
            beside["metadata"] = []
        windows = grouped(_all(stream, settings, beside))
        return beside["id"], windows, beside.get("metadata", [None] * len(beside["id"]))
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        raise Refused("malformed", f"expected an Arrow stream, it is damaged: {str(error)[:200]}") from None


def read_json(body: bytes, settings: Settings) -> list[Block]:
    """A large body of JSON, `{"windows": [[[…]]]}`: as windows of a stream, and without the interpreter's lock."""
    import pyarrow as pa
    from pyarrow import json

    kind = pa.list_(pa.list_(pa.list_(pa.float64())))
    like = '{"windows": [[[0.1, null, 0.3]]]}'
    if not _OBJECT.match(
        body
    ):  # a null in its place ends the process: Arrow looks for the fields of a row that is none
        raise Refused("malformed", f"expected JSON such as {like}, got no object", expected=like)
    try:
        table = json.read_json(
            pa.BufferReader(body),
            json.ReadOptions(use_threads=False, block_size=len(body) + 1),
            json.ParseOptions(
                pa.schema([("windows", kind)]), newlines_in_values=True, unexpected_field_behavior="error"
            ),
        )
        held = table.column("windows").combine_chunks()
        if len(held) != 1 or held.null_count:
            raise Refused("malformed", f"expected one JSON object with the key 'windows', got {len(held)} or null")
        windows = held.values.slice(held.offsets[0].as_py(), held.offsets[1].as_py() - held.offsets[0].as_py())
        counted(len(windows), settings)
        return grouped(_windows(windows, 0))
    except (pa.ArrowException, ValueError) as error:
        raise Refused("malformed", f"expected JSON such as {like}: {str(error)[:200]}", expected=like) from None


def write(sent: Sent) -> bytes:
    import pyarrow as pa

    values = sent.values
    if isinstance(values, np.ndarray):
        column: Any = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    else:
        column = _nested(values)
    columns = {"embedding": column} | ({} if sent.scale is None else {"scale": pa.array(sent.scale)})
    return stream(pa.record_batch(columns))


def write_lists(name: str, values: Sequence[np.ndarray]) -> bytes:
    """One column of list<list<…>>: an array (row, time) of each window."""
    import pyarrow as pa

    return stream(pa.record_batch({name: _nested(values)}))


def _nested(values: Sequence[np.ndarray]) -> Any:
    import pyarrow as pa

    rows = values[0].shape[0]
    steps = np.repeat([e.shape[1] for e in values], rows)
    flat = pa.array(np.concatenate([e.ravel() for e in values]))
    inner = pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum(steps)]).astype(np.int32), flat)
    return pa.ListArray.from_arrays((np.arange(len(values) + 1) * rows).astype(np.int32), inner)


def write_classes(label: Sequence[str], probability: np.ndarray) -> bytes:
    """Columns `label` and `probability`, a fixed_size_list in the order of the model's classes."""
    import pyarrow as pa

    column = pa.FixedSizeListArray.from_arrays(pa.array(probability.ravel()), probability.shape[1])
    return stream(pa.record_batch({"label": pa.array(label), "probability": column}))


def write_neighbours(found: Sequence[Sequence[Any]]) -> bytes:
    """Columns `query` (its number), `id`, `distance` and `metadata` (JSON); found: of each query, by distance."""
    import pyarrow as pa

    flat = [one for each in found for one in each]
    query = np.repeat(np.arange(len(found), dtype=np.int32), [len(each) for each in found])
    columns = {
        "query": pa.array(query),
        "id": pa.array([one.id for one in flat], pa.string()),
        "distance": pa.array([one.distance for one in flat], pa.float64()),
        "metadata": pa.array([one.metadata for one in flat], pa.string()),
    }
    return stream(pa.record_batch(columns))


def stream(batch: Any) -> bytes:
    """One record batch as a stream."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as out:
        out.write_batch(batch)
    return bytes(sink.getvalue())


def _is_window(kind: Any) -> bool:
    import pyarrow as pa

    for _ in range(2):
        fixed = pa.types.is_fixed_size_list(kind) and kind.list_size > 0  # lists of size 0 cost no byte, in any number
        if not (fixed or pa.types.is_list(kind) or pa.types.is_large_list(kind)):
            return False
        kind = kind.value_type
    return bool(pa.types.is_floating(kind))


def _plain(body: bytes) -> None:
    """Refused where the messages are not a schema and record batches without compression."""
    import pyarrow as pa

    source = pa.BufferReader(body)
    messages = pa.ipc.MessageReader.open_stream(source)
    expected = "schema"
    while True:
        try:
            message = messages.read_next_message()
        except StopIteration:
            if source.tell() < len(body):
                left = len(body) - source.tell()
                raise Refused(
                    "malformed", f"expected an Arrow stream and nothing behind it, got {left} bytes"
                ) from None
            return
        if message.type != expected:
            raise Refused("malformed", f"expected an Arrow stream of a schema and record batches, got a {message.type}")
        if expected == "record batch" and _is_compressed(memoryview(message.metadata)):
            raise Refused("malformed", "expected an Arrow stream without compression, got a compressed one")
        expected = "record batch"


def _all(stream: Any, settings: Settings, beside: dict[str, list[str | None]] | None = None) -> list[np.ndarray]:
    """The windows of a stream, each (channel, time) float32. beside: columns of text, which are filled."""
    import pyarrow as pa

    beside = beside or {}
    schema = stream.schema
    text = all(pa.types.is_string(schema.field(name).type) for name in beside if schema.names.count(name) == 1)
    if sorted(schema.names) != sorted([COLUMN, *beside]) or not _is_window(schema.field(COLUMN).type) or not text:
        told = ", ".join(f"{field.name}: {field.type}" for field in schema)[:200]
        also = "".join(f", '{name}' of string" for name in beside)
        message = f"expected one column '{COLUMN}' of list<list<float>>{also}, got {told or 'no column'}"
        like = ", ".join([f"{COLUMN}: list<list<float>>", *(f"{name}: string" for name in beside)])
        raise Refused("malformed", message, expected=like, got=told)
    windows: list[np.ndarray] = []
    for batch in stream:
        batch.validate(full=True)
        if len(batch):
            counted(len(windows) + len(batch), settings)
            windows += _windows(batch.column(schema.get_field_index(COLUMN)), len(windows))
            for name in beside:
                beside[name] += batch.column(schema.get_field_index(name)).to_pylist()
    counted(len(windows), settings)
    return windows


def _windows(column: Any, begin: int) -> list[np.ndarray]:
    """The windows (channel, time) of a validated column, float32; `begin` is the number of the first, for messages."""
    rows, channels = _parts(column, "windows", begin)
    steps, values = _parts(channels, "channels", begin)
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused as such
        flat = values.to_numpy(zero_copy_only=False).astype(np.float32)  # null becomes NaN
    out = []
    for row, (low, high) in enumerate(zip(rows[:-1].tolist(), rows[1:].tolist(), strict=True), begin):
        edges = steps[low : high + 1]
        lengths = np.diff(edges)
        if len(lengths) and (lengths != lengths[0]).any():
            told = sorted(set(lengths.tolist()))[:8]
            message = f"expected all channels of a window to be of one length, got {told} in window {row}"
            raise Refused("shape", message, got=told)
        out.append(flat[edges[0] : edges[-1]].reshape(len(lengths), -1 if len(lengths) and lengths[0] else 0))
    return out


def _parts(lists: Any, what: str, begin: int) -> tuple[np.ndarray, Any]:
    """Edges (n + 1,) of the lists in the array of their values, and that array."""
    import pyarrow as pa

    if lists.null_count:
        message = f"expected no null among the {what} (from window {begin} on): null stands for a missing number"
        raise Refused("malformed", message)
    if pa.types.is_fixed_size_list(lists.type):
        size = lists.type.list_size
        return (np.arange(len(lists) + 1) + lists.offset) * size, lists.values
    return lists.offsets.to_numpy().astype(np.int64), lists.values


def _is_compressed(metadata: memoryview) -> bool:
    """Whether a record batch says that its buffers are compressed.

    Read from the message's flatbuffer (Arrow's Message.fbs: Message.header is field 2, RecordBatch.compression field 3),
    which pyarrow has verified, because it offers no way to ask before it decompresses.
    """

    def field(table: int, number: int) -> int:
        """Where a field lies, or 0 where the table lacks it."""
        entries = table - struct.unpack_from("<i", metadata, table)[0]
        size = struct.unpack_from("<H", metadata, entries)[0]
        at = 4 + 2 * number
        offset = struct.unpack_from("<H", metadata, entries + at)[0] if at + 2 <= size else 0
        return table + offset if offset else 0

    root = struct.unpack_from("<I", metadata, 0)[0]
    header = field(root, 2)
    batch = header + struct.unpack_from("<I", metadata, header)[0]
    return field(batch, 3) != 0
