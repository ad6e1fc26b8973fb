"""The graph of the dilated encoders for ONNX: exact for windows of at most so many steps, and written for speed.

Written out rather than traced, because three things are known here that tracing does not know:

- A tap that lies `length` or more steps away meets nothing but zeros in any window that is no longer, and is left out: 46 % of the work
  of ten blocks at 128 steps. Number of windows and steps stay free, so one graph serves all lengths up to that one.
- Windows of one length need no mask for padding: the runtime brings them bare. What nothing was observed at is zeroed once.
- Convolutions over (batch, channel, 1, time) run on ONNX Runtime's blocked layout; over (batch, channel, time) they do not, and take a
  quarter longer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tsrep import InputError

OPSET, IR = 20, 10
"""The oldest that know Gelu; read by ONNX Runtime from 1.18 on."""

TIME = 2
"""The axis of time where the others are batch and feature."""


def build(encoder: Any, length: int) -> bytes:
    """The encoder of a model with all its readouts as an ONNX file, for windows of at most `length` steps.

    Inputs: values (batch, channel, time), zero where nothing was observed, and seen (batch, 1, time), 1 at steps at which some channel
    was observed, else 0. Outputs: pooled (the encoder's own), max, mean, last, rich, and levels where the encoder has
    them (batch, feature), and steps (batch, feature, time).
    """
    if not all(hasattr(encoder, part) for part in ("project", "blocks", "causal", "pool")):
        raise InputError(
            f"expected the encoder dilated or causal to export, got {type(encoder).__name__}: it is computed by torch"
        )
    held = getattr(encoder, "levels", None)
    levels = None if held is None else _array(held)
    graph = _Graph()
    x = graph.add("Unsqueeze", "values", graph.numbers(TIME))
    seen = graph.add("Unsqueeze", "seen", graph.numbers(TIME))
    x = graph.convolution(x, encoder.project.weight[:, :, None], encoder.project.bias)
    x = graph.add("Mul", x, seen)
    for block in encoder.blocks:
        inner = graph.dilated(block.first, graph.add("Gelu", x), length)
        inner = graph.dilated(block.second, graph.add("Gelu", inner), length)
        residual = getattr(block.residual, "weight", None)
        beside = x if residual is None else graph.convolution(x, residual, block.residual.bias)
        x = graph.add("Add", beside, inner)
    _readouts(graph, graph.add("Squeeze", x, graph.numbers(TIME), out="steps"), encoder.pool, levels)
    return graph.file(encoder.channels, encoder.features, length, 0 if levels is None else levels.shape[1])


def _readouts(graph: _Graph, steps: str, pool: str, levels: np.ndarray | None) -> None:
    """`tsrep.readouts` over steps of which none is padding."""
    axis = graph.numbers(TIME)

    def share(level: np.ndarray) -> str:
        above = graph.add("Cast", graph.add("Greater", steps, graph.weight(level)), to=TensorProto.FLOAT)
        return graph.add("ReduceMean", above, axis, keepdims=0)

    graph.add("ReduceMax", steps, axis, keepdims=0, out="max")
    centre = graph.add("ReduceMean", steps, axis, keepdims=1)
    graph.add("Squeeze", centre, axis, out="mean")
    graph.add("Gather", steps, graph.add("Constant", value_int=-1), axis=TIME, out="last")
    off = graph.add("Sub", steps, centre)
    deviation = graph.add("Sqrt", graph.add("ReduceMean", graph.add("Mul", off, off), axis, keepdims=0))
    graph.add("Concat", "max", "mean", deviation, share(np.zeros((), np.float32)), axis=1, out="rich")
    if levels is not None:
        shares = [share(level[:, None]) for level in levels.T]
        graph.add("Concat", "max", "mean", deviation, *shares, axis=1, out="levels")
    graph.add("Identity", pool, out="pooled")


class _Graph:
    """Nodes and weights, named by their number."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, out: str = "", **settings: Any) -> str:
        out = out or f"made{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [out], **settings))
        return out

    def weight(self, values: np.ndarray) -> str:
        name = f"held{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def numbers(self, *values: int) -> str:
        return self.weight(np.array(values, np.int64))

    def convolution(self, x: str, weight: Any, bias: Any, dilation: int = 1, left: int = 0, right: int = 0) -> str:
        """weight: (output, input, tap), over an axis of one and time."""
        held = self.weight(_array(weight)[:, :, None]), self.weight(_array(bias))
        return self.add("Conv", x, *held, dilations=[1, dilation], pads=[0, left, 0, right])

    def dilated(self, layer: Any, x: str, length: int) -> str:
        """Without the taps that no step of a window reaches; `tsrep.encoders.dilated.DilatedConv` leaves out the same ones."""
        taps, dilation = layer.weight.shape[2], layer.dilation
        reach = min(taps - 1 if layer.causal else taps // 2, (length - 1) // dilation)
        first = taps - 1 - reach if layer.causal else taps // 2 - reach
        last = taps if layer.causal else taps // 2 + reach + 1
        right = 0 if layer.causal else reach * dilation
        kept = layer.weight[:, :, first:last]
        return self.convolution(x, kept, layer.bias, dilation if reach else 1, reach * dilation, right)

    def file(self, channels: int, features: int, length: int, levels: int) -> bytes:
        def tensor(name: str, *shape: int | str) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])

        inputs = [tensor("values", channels, "time"), tensor("seen", 1, "time")]
        pools = [tensor(name, features) for name in ("pooled", "max", "mean", "last")]
        pools += [tensor("rich", 4 * features), *([tensor("levels", (3 + levels) * features)] if levels else [])]
        outputs = [*pools, tensor("steps", features, "time")]
        graph = helper.make_graph(self.nodes, "tsrep", inputs, outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        helper.set_model_props(model, {"length": str(length), "features": str(features), "precision": "float32"})
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


def _array(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.detach().float().cpu().numpy())
