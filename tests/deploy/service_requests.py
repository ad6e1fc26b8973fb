"""Requests in every form, and what comes back: shared by the tests of the service."""

import io
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
from tsrep_deploy import wire

ENCODER = {"name": "dilated", "hidden": 8, "depth": 3, "features": 16}
"""Of the model that is served."""


def as_json(windows: Sequence[np.ndarray]) -> dict[str, Any]:
    """A request in JSON; NaN is null."""
    held = [np.where(np.isnan(w), None, w.astype(object)).tolist() for w in windows]
    return {"json": {"windows": held}, "headers": {"Accept": wire.JSON}}


def as_npy(windows: np.ndarray | Sequence[np.ndarray]) -> dict[str, Any]:
    file = io.BytesIO()
    np.save(file, np.stack(windows) if isinstance(windows, list) else windows)
    return {"content": file.getvalue(), "headers": {"Content-Type": wire.NPY, "Accept": wire.NPY}}


def as_arrow(windows: Sequence[np.ndarray], **columns: Any) -> dict[str, Any]:
    import pyarrow as pa

    column = pa.array([w.tolist() for w in windows], pa.list_(pa.list_(pa.float32())))
    return arrow_of(pa.record_batch({"window": column, **columns}))


def arrow_of(*batches: Any, **options: Any) -> dict[str, Any]:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema, **options) as stream:
        for batch in batches:
            stream.write_batch(batch)
    return {"content": sink.getvalue().to_pybytes(), "headers": {"Content-Type": wire.ARROW, "Accept": wire.ARROW}}


def embeddings_of(answer: httpx.Response) -> list[np.ndarray]:
    """One float32 array for each window, from whatever form an answer has."""
    assert answer.status_code == 200, answer.text
    form = answer.headers["content-type"]
    if form == wire.NPY:
        return list(np.load(io.BytesIO(answer.content), allow_pickle=False))
    if form == wire.ARROW:
        import pyarrow as pa

        held = pa.ipc.open_stream(answer.content).read_all().column("embedding").to_pylist()
    else:
        held = answer.json()["embeddings"]
    return [np.array(one, np.float32) for one in held]


FORMS = {"json": as_json, "npy": as_npy, "arrow": as_arrow}
