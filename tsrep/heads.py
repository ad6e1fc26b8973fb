"""A head that a model carries: what it says of its embeddings. A linear classification, saved beside the model as plain numbers.

Read and applied by numpy alone, for those who serve an export without torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tsrep import folders
from tsrep.errors import InputError

if TYPE_CHECKING:
    from tsrep.model import Model

NAME = "head.safetensors"


@dataclass(frozen=True, eq=False)
class Classifier:
    """Multinomial logistic regression on frozen embeddings: softmax(W z + b).

    classes: names, in the order of the rows of W. weight: W (class, feature) float64. bias: b (class,) float64.
    pool:    of the embeddings it was fitted on, as `Model.embed` takes it.
    """

    classes: tuple[str, ...]
    weight: np.ndarray
    bias: np.ndarray
    pool: str | None = None

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        """(n, feature) -> (n, class) probabilities."""
        said = np.asarray(embeddings, np.float64) @ self.weight.T + self.bias
        odds = np.exp(said - said.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def save(self, path: Path) -> None:
        import torch

        from tsrep import checkpoint

        tensors = {"weight": torch.from_numpy(self.weight), "bias": torch.from_numpy(self.bias)}
        checkpoint.save(path, tensors, {"kind": "classify", "classes": self.classes, "pool": self.pool})


def fit_head(model: Model, X: Any, labels: Sequence[Any] | np.ndarray, pool: str | None = None, seed: int = 0) -> Model:
    """The model with a classification head, fitted on its frozen embeddings; the encoder stays as it is.

    X:      whatever `model.embed` takes. labels: (n,), their names are kept as text.
    pool:   of the embeddings. seed: of the folds by which the regularisation is chosen (see `tsrep.evaluation.linear`).
    Measure it first on data that it is not fitted on: `tsrep.evaluate(model, data, task="classify", probes=["linear"])`.
    Raises InputError where there are not as many labels as windows, or fewer than two classes.
    """
    from tsrep.evaluation.linear import fitted

    names = np.asarray([str(label) for label in labels])
    if pool == "steps":
        raise InputError("expected a pool that gives one embedding for each window, got 'steps'")
    embeddings = model.embed(X, pool)
    if len(names) != len(embeddings):
        raise InputError(f"expected a label for each of {len(embeddings)} windows, got {len(names)}")
    if len(set(names)) < 2:
        raise InputError(f"expected at least two classes, got {', '.join(sorted(set(names))) or 'none'}")
    probe = fitted(embeddings.astype(np.float64), names, seed=seed)
    scaler, regression = probe[0], probe[-1]
    weight, bias = regression.coef_, regression.intercept_
    if len(weight) == 1:  # of two classes scikit-learn keeps the second alone: σ(s) = softmax(0, s)
        weight, bias = np.concatenate([np.zeros_like(weight), weight]), np.concatenate([[0.0], bias])
    # W ((z − mean) / scale) + b = (W / scale) z + (b − (W / scale) mean)
    weight = weight / scaler.scale_
    head = Classifier(tuple(map(str, regression.classes_)), weight, bias - weight @ scaler.mean_, pool)
    return replace(model, head=head)


def beside(folder: Path, held: Mapping[str, Any], width: Callable[[str | None], int]) -> Classifier | None:
    """The head of the model in this folder, None where it has none; `held` is its data.json, `width` tells that of each pool.

    InputError where the file is not the one that was saved, or no head for embeddings of this width.
    """
    there = folders.saved_with(folder, NAME, held.get("head"), "head")
    return load(folder / NAME, width) if there else None


def load(path: Path, width: Callable[[str | None], int]) -> Classifier:
    """InputError where the file is none of a head, or of one for embeddings of another width."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            told = json.loads((file.metadata() or {})["numbers"])
            weight, bias = (file.get_tensor(name).astype(np.float64) for name in ("weight", "bias"))
        classes, pool = tuple(map(str, told["classes"])), told["pool"]
        wide = width(pool)
    except (SafetensorError, KeyError, TypeError, OSError, ValueError) as error:
        raise InputError(f"expected a classification head in {path}, it is damaged: {error}") from error
    if weight.shape != (len(classes), wide) or bias.shape != (len(classes),):
        raise InputError(f"expected a head of {len(classes)} classes on {wide} numbers in {path}, got {weight.shape}")
    return Classifier(classes, weight, bias, pool)
