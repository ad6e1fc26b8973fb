"""Any architecture of tsai by name, without its classification head: `tsai`."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from annotated_types import Gt
from torch import Tensor, nn

from tsrep.encoders.patch import justify, restore, span
from tsrep.errors import InputError, nearest
from tsrep.series import POOLS, Embedding, Series

_WORKING = """
ConvTranPlus FCN FCNPlus gMLP GRU GRU_FCN GRU_FCNPlus GRUAttention GRUAttentionPlus GRUPlus InceptionTime
InceptionTimePlus InceptionTimePlus17x17 InceptionTimePlus32x32 InceptionTimePlus47x47 InceptionTimePlus62x62
InceptionTimeXLPlus LSTM LSTM_FCN LSTM_FCNPlus LSTMAttention LSTMAttentionPlus LSTMPlus MLP mWDN mWDNPlus
OmniScaleCNN ResCNN ResNet ResNetPlus RNN RNN_FCN RNN_FCNPlus RNNAttention RNNAttentionPlus RNNPlus TCN
TransformerModel TSiTPlus TSPerceiver TST TSTPlus XceptionTime XceptionTimePlus XCM XCMPlus xresnet1d101plus
xresnet1d152plus xresnet1d18_deeperplus xresnet1d18_deepplus xresnet1d18plus xresnet1d34_deeperplus
xresnet1d34_deepplus xresnet1d34plus xresnet1d50_deeperplus xresnet1d50_deepplus xresnet1d50plus
"""
WORKING = tuple(_WORKING.split())
"""Architectures that work with this encoder, measured with tsai 1.0.1."""

LATENT = frozenset({"TSPerceiver"})
"""Architectures whose last axis is not time."""

HEADS = ("head", "fc", "lin", "linear", "hidden", "outlinear")
"""What architectures without a `backbone` call the layers that turn features into classes."""

POOLING = ("gap", "squeeze")
"""What they call the average over time before it, which would lose the steps."""


@dataclass(frozen=True)
class Tsai:
    """An architecture of tsai (Oguiza, "tsai - A state-of-the-art deep learning library for time series", 2023).

    The classification head is dropped. What is left gives step embeddings (batch, feature, time), stretched by linear
    interpolation where it gives fewer steps than it was fed, or one embedding per series: then every step has that one,
    and the encoder's `stepwise` is False. Parameters that no gradient can reach are frozen.

    A series is moved to column 0 and filled with zeros up to the training length, so padding changes nothing. A longer
    one runs as it is where the architecture takes any length (the encoder's `any_length`), otherwise it is an
    InputError. A missing value is a zero to tsai.

    arch:     name of a class or function of `tsai.models`, for instance InceptionTimePlus (Fawaz et al., 2020,
              arXiv:1909.04939) or TSTPlus (Zerveas et al., KDD 2021, arXiv:2010.02803).
    features: width of the embedding, by one more linear map; None: the architecture's own width, found by a dry run.
    pool:     pooled embedding over the steps inside the extent.
    kwargs:   further arguments of the architecture.
    """

    arch: str = "InceptionTimePlus"
    features: Annotated[int, Gt(0)] | None = None
    pool: Literal["max", "mean", "last"] = "max"
    kwargs: dict[str, Any] = field(default_factory=dict)

    def build(self, channels: int, length: int) -> nn.Module:
        """An encoder of (batch, channels, time) series that is trained on windows of `length` steps."""
        return TsaiEncoder(channels, length, self)


class TsaiEncoder(nn.Module):
    causal = False
    """Some architectures are, but none says so."""

    def __init__(self, channels: int, length: int, config: Tsai) -> None:
        super().__init__()
        self.channels, self.length, self.arch, self.pool = channels, length, config.arch, config.pool
        self.backbone = headless(config.arch, channels, length, config.kwargs)
        shape = _dry_run(self.backbone, channels, length)
        if shape is None or len(shape) not in (2, 3):
            raise _unusable(config.arch, f"it gives {shape and tuple(shape)}, not one embedding per step or per series")
        if not freeze_unreached(self.backbone, channels, length):
            raise _unusable(config.arch, "nothing in it learns by gradients")
        if _mixes(self.backbone, channels, length):
            raise _unusable(
                config.arch, "it mixes the series of a batch, so an embedding would depend on its neighbours"
            )
        self.latent = len(shape) == 3 and (config.arch in LATENT or shape[2] > length)
        self.stepwise = len(shape) == 3 and not self.latent
        longer = _dry_run(self.backbone, channels, 2 * length + 1)
        self.any_length = longer is not None and longer[:2] == shape[:2] and len(longer) == len(shape)
        self.project = nn.Linear(shape[1], config.features) if config.features else nn.Identity()
        self.features: int = config.features or shape[1]
        hook: Any = self.register_state_dict_post_hook
        hook(_own_each)

    def forward(self, series: Series) -> Embedding:
        begin, count = span(series.extent)
        longest = int(count.max()) if len(series) else 0
        if longest > self.length and not self.any_length:
            raise InputError(
                f"expected series of at most {self.length} steps, what {self.arch} was built for, got {longest}: "
                f"window the series into {self.length} steps, or choose an architecture that takes any length"
            )
        # Every row is run at a width that depends on nothing but itself, so its neighbours in the batch change nothing.
        widths = count.clamp(min=self.length)
        if longest <= self.length or bool((widths == longest).all()):
            steps, pooled = self._run(series, begin, count, max(longest, self.length))
            return Embedding(steps, pooled, series)
        groups = [torch.nonzero(widths == width).squeeze(1) for width in set(widths.tolist())]
        parts = [self._run(series.rows(g), begin[g], count[g], int(widths[g[0]])) for g in groups]
        back = torch.argsort(torch.cat(groups))
        steps, pooled = (torch.cat(part)[back] for part in zip(*parts, strict=True))
        return Embedding(steps, pooled, series)

    def _run(self, series: Series, begin: Tensor, count: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """Steps (batch, feature, time) and pooled (batch, feature) of rows that are run at one width."""
        out = self.backbone(justify(series.values, begin, count, width))
        if not self.stepwise:
            pooled = self.project(out.mean(dim=2) if self.latent else out)
            return pooled[:, :, None] * series.extent[:, None].to(pooled.dtype), pooled
        steps = self.project(out.mT).mT
        if steps.shape[2] != width:
            steps = F.interpolate(steps, size=width, mode="linear")
        # A series without any step keeps its first one, so that no pool is taken over nothing.
        inside = torch.arange(width, device=steps.device) < count.clamp(min=1)[:, None]
        return restore(steps, begin, series.extent), POOLS[self.pool](steps, inside)


def headless(arch: str, channels: int, length: int, kwargs: dict[str, Any]) -> nn.Module:
    """The architecture without the layers that turn features into classes."""
    make = find(arch)
    known = inspect.signature(make).parameters
    if reserved := {"c_in", "c_out", "seq_len"} & set(kwargs):
        raise InputError(f"expected no {', '.join(sorted(reserved))} in kwargs: the data say what they are")
    given = dict(kwargs, **({"seq_len": length} if "seq_len" in known else {}))
    if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        for name in set(kwargs) - set(known):
            raise InputError(f"unknown argument '{name}' of {arch}: {nearest(name, set(known) - {'c_in', 'c_out'})}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*weight_norm.* is deprecated", category=FutureWarning)
        warnings.filterwarnings("ignore", message="enable_nested_tensor is True", category=UserWarning)
        try:
            model: nn.Module = make(channels, 2, **given)
        except Exception as error:  # whatever a constructor of tsai raises, the arguments were not to its liking
            raise _unusable(arch, f"{type(error).__name__}: {error}", (channels, length, kwargs)) from error
    backbone = getattr(model, "backbone", None)
    if isinstance(backbone, nn.Module):
        return backbone
    owner = getattr(model, "_model", model)  # mWDN keeps an architecture with a head of its own in there
    heads = [name for name, _ in owner.named_children() if name in HEADS]
    if not heads:
        raise _unusable(arch, "it has no head that could be taken off")
    for name in heads:
        setattr(owner, name, nn.Identity())
    pooling = {name: child for name, child in owner.named_children() if name in POOLING}
    for name in pooling:
        setattr(owner, name, nn.Identity())
    if pooling and _dry_run(model, channels, length) is None:  # what it pools, it joins with something without steps
        for name, child in pooling.items():
            setattr(owner, name, child)
    return model


def freeze_unreached(model: nn.Module, channels: int, length: int) -> int:
    """Freezes the parameters that no gradient reaches, for which distributed training would wait. How many are left."""
    training = model.training
    learned = [p for p in model.parameters() if p.requires_grad]
    if not learned:
        return 0
    out = model.eval()(torch.zeros(2, channels, length))
    if not out.requires_grad:
        return 0
    reached = torch.autograd.grad(out.sum(), learned, allow_unused=True)
    for parameter, gradient in zip(learned, reached, strict=True):
        parameter.requires_grad_(gradient is not None)
    model.train(training)
    return sum(gradient is not None for gradient in reached)


def _dry_run(model: nn.Module, channels: int, length: int) -> torch.Size | None:
    """Shape of what the model makes of (2, channels, length), or None where it takes no such length."""
    training = model.training
    try:
        with torch.no_grad():
            out = model.eval()(torch.zeros(2, channels, length))
    except (RuntimeError, ValueError, IndexError, AssertionError):
        return None
    finally:
        model.train(training)
    return out.shape if isinstance(out, Tensor) else None


def _mixes(model: nn.Module, channels: int, length: int) -> bool:
    """Whether what it makes of a series depends on the others of the batch: some run a recurrence along the batch."""
    training = model.training
    x = torch.sin(torch.arange(2.0 * channels * length)).view(2, channels, length)
    with torch.no_grad():
        model.eval()
        both, alone = model(x), model(x[1:])
    model.train(training)
    return not torch.allclose(both[1:], alone, rtol=1e-3, atol=1e-3)


def _own_each(module: nn.Module, state: dict[str, Any], prefix: str, metadata: dict[str, Any]) -> None:
    """Some architectures hold one parameter under two names; safetensors wants each name to have storage of its own."""
    met: set[int] = set()
    for name, value in state.items():
        if name.startswith(prefix) and isinstance(value, Tensor):
            if value.data_ptr() in met:
                state[name] = value.clone()
            met.add(value.data_ptr())


def find(arch: str) -> Any:
    """The class or function of `tsai.models` with this name; only the file that defines it is imported."""
    known = architectures()
    if arch not in known:
        raise InputError(f"tsai has no architecture '{arch}': {nearest(arch, known)}")
    ensure_torchvision()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.script. is deprecated", category=DeprecationWarning)
        return getattr(importlib.import_module(f"tsai.models.{known[arch]}"), arch)


@functools.cache
def architectures() -> dict[str, str]:
    """Name of each architecture -> the file of `tsai.models` that defines it: what a file exports and what takes a
    number of channels and of classes. Read from the sources, without importing any."""
    spec = importlib.util.find_spec("tsai")
    if spec is None or spec.origin is None:
        raise InputError("expected the package tsai for this encoder, but it is not installed: install tsrep[tsai]")
    found: dict[str, str] = {}
    for path in sorted((Path(spec.origin).parent / "models").glob("*.py")):
        if path.stem in ("layers", "utils", "multimodal"):  # what architectures are made of, and what wraps them
            continue
        arguments: dict[str, set[str]] = {}
        exported: list[str] = []
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                arguments[node.name] = _arguments(node)
            elif isinstance(node, ast.ClassDef):
                own = [_arguments(n) for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
                inherited = [arguments.get(base.id, set()) for base in node.bases if isinstance(base, ast.Name)]
                arguments[node.name] = (own or inherited or [set()])[0]
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name, value = node.targets[0].id, node.value
                if name == "__all__":
                    exported = ast.literal_eval(value)
                elif isinstance(value, ast.Call) and len(value.args) > 1 and isinstance(value.args[1], ast.Name):
                    arguments[name] = arguments.get(value.args[1].id, set())  # named_partial("Name", Architecture, ...)
        found |= {name: path.stem for name in exported if {"c_in", "c_out"} <= arguments.get(name, set())}
    return found


def _arguments(function: ast.FunctionDef) -> set[str]:
    return {a.arg for a in function.args.args + function.args.kwonlyargs}


def _unusable(arch: str, why: str, given: tuple[int, int, dict[str, Any]] | None = None) -> InputError:
    how = "" if given is None else " for {} channels, {} steps and arguments {}".format(*given)
    instead = "" if arch in WORKING else f". These work: {', '.join(WORKING)}"
    return InputError(f"tsai's {arch} cannot be an encoder{how}: {why}{instead}")


_operators: list[Any] = []


def ensure_torchvision() -> None:
    """tsai imports torchvision for pictures, which are never used here. A torchvision built for another kind of torch
    (CUDA beside CPU) fails at import since its compiled operators are missing: those it asks for are declared here."""
    try:
        importlib.import_module("torchvision")
        return
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    fragment: Any = torch.library.Library
    library = fragment("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _operators.append(library)  # dropping the library would undo its definitions
