"""ONNX Runtime: computes the exported encoder of a model, without torch."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnxruntime

from tsrep import InputError

OTHERS = ("pooled", "steps")
"""Outputs that no pool is called by: the encoder's own pooling has no name, and the steps are not one embedding of a window."""


class Session:
    """An exported encoder, ready to run; `tsrep.runtime.Runtime` says what its attributes are.

    content: an ONNX file that `tsrep export` wrote.
    threads: processor threads; None takes OMP_NUM_THREADS, or as many as there are processors.
    """

    def __init__(self, content: bytes, threads: int | None = None) -> None:
        chosen = onnxruntime.SessionOptions()
        chosen.intra_op_num_threads = threads or _threads()
        chosen.inter_op_num_threads = 1
        # Threads that wait in a loop would slow down whatever else computes in this process, torch above all.
        chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
        chosen.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(content, chosen, providers=["CPUExecutionProvider"])
            said = self._session.get_modelmeta().custom_metadata_map
            self.length, self.features = int(said["length"]), int(said["features"])
            self.precision = said["precision"]
        except Exception as error:  # ONNX Runtime has an exception of its own for every cause, under no common name
            raise InputError(f"expected an ONNX file that tsrep export wrote, got another ({error})") from error
        self.pools = (None, *(said.name for said in self._session.get_outputs() if said.name not in OTHERS))
        kind = "" if self.precision == "float32" else f", {self.precision}"
        self.name = f"onnxruntime {onnxruntime.__version__}{kind}"
        self.content = content
        self._only_asked = onnxruntime.RunOptions()
        self._only_asked.only_execute_path_to_fetches = True

    def __reduce__(self) -> tuple[Any, ...]:
        return Session, (self.content,)

    def __call__(self, values: np.ndarray, pool: str | None) -> np.ndarray:
        """Windows that begin and end together go together, bare of their padding: it takes no mask, and one window costs as much alone
        as among others."""
        missing = np.isnan(values)
        if not missing.any():
            return self._run(values, np.ones((len(values), 1, values.shape[2]), np.float32), pool)
        values = np.where(missing, np.float32(0), values)
        seen = ~missing.all(axis=1, keepdims=True)
        first, last = seen[:, 0].argmax(axis=1), values.shape[2] - seen[:, 0, ::-1].argmax(axis=1)
        spans, kind = np.unique(np.stack([first, last], axis=1), axis=0, return_inverse=True)
        out: np.ndarray | None = None
        for i, (low, high) in enumerate(spans):
            rows = np.flatnonzero(kind.reshape(-1) == i)
            part = np.ascontiguousarray(values[rows, :, low:high])
            made = self._run(part, seen[rows, :, low:high].astype(np.float32), pool)
            if out is None:
                shape = (len(values), made.shape[1], values.shape[2])
                out = np.full(shape if pool == "steps" else shape[:2], np.nan, np.float32)
            if pool == "steps":
                out[rows, :, low:high] = made
            else:
                out[rows] = made
        assert out is not None
        return out

    def _run(self, values: np.ndarray, seen: np.ndarray, pool: str | None) -> np.ndarray:
        found = self._session.run(
            ["pooled" if pool is None else pool], {"values": values, "seen": seen}, self._only_asked
        )
        return np.asarray(found[0], np.float32)


def _threads() -> int:
    told = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(told) if told.isdecimal() and int(told) else len(os.sched_getaffinity(0))


def quantized(content: bytes, windows: np.ndarray, threads: int | None = None) -> bytes:
    """The convolutions of an exported encoder in 8 bits: weights by output channel, activations by ranges that these windows set.

    windows: (n, channel, time) as the encoder sees them, NaN for missing.
    """
    import logging
    import tempfile
    from pathlib import Path

    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Windows(CalibrationDataReader):  # type: ignore[misc]
        """Eight at a time: the ranges are found on all activations of a batch, which are held in memory."""

        def __init__(self) -> None:
            self._parts = iter(np.array_split(windows, max(1, len(windows) // 8)))

        def get_next(self) -> dict[str, np.ndarray] | None:
            part = next(self._parts, None)
            if part is None:
                return None
            missing = np.isnan(part)
            values = np.where(missing, np.float32(0), part)
            return {"values": values, "seen": (~missing.all(axis=1, keepdims=True)).astype(np.float32)}

    model = onnx.load_from_string(content)
    said = {pair.key: pair.value for pair in model.metadata_props}
    logging.getLogger().addFilter(_no_advice)
    try:
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "int8.onnx"
            quantize_static(
                model,
                made,
                Windows(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            model = onnx.load(made)
    finally:
        logging.getLogger().removeFilter(_no_advice)
    onnx.helper.set_model_props(model, {**said, "precision": "int8"})
    return bytes(model.SerializeToString())


def _no_advice(record: Any) -> bool:
    return "pre-process" not in record.getMessage()
