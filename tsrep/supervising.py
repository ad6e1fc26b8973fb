"""Supervised training from scratch: the same encoder, views and loop as a plan's method, taught by labels instead of by contrast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from tsrep import randomness, stream_fitting
from tsrep.data.readers import as_streams
from tsrep.encoders.streams import Each
from tsrep.errors import InputError
from tsrep.finetuning.classifier import Classifier, CrossEntropy
from tsrep.method import DataShape, Method, Phase
from tsrep.model import Model, encoder_for
from tsrep.plan import Plan
from tsrep.preparing import LONGEST
from tsrep.series import Batch, Series, as_batch
from tsrep.training import train


@dataclass(frozen=True)
class Supervised:
    """An encoder with a linear head, trained together.

    model: its embeddings are the scores of the classes; not to be saved, for a plan says nothing of heads.
    classes: (k,) their names, in the order of the scores.
    """

    model: Model
    classes: np.ndarray

    def scores(self, X: Any) -> np.ndarray:
        """(n, k) scores, added up over the streams that a row has. X: {stream: windows} of some or all streams, as cut for training."""
        made = np.stack([np.nan_to_num(part) for part in self.model.embed_streams(X).values()])
        return cast(np.ndarray, made.sum(axis=0, dtype=np.float32))

    def predict(self, X: Any) -> np.ndarray:
        """(n,) classes."""
        return cast(np.ndarray, self.classes[self.scores(X).argmax(axis=1)])


def supervised(plan: Plan, X: Any, validation: Any = None) -> Supervised:
    """Train the plan's encoder from scratch, with a linear head, on labelled streams; views and training as the plan's method has them.

    A plan whose method learns from several streams at once has one head on all of them; otherwise every stream's window is a row of its
    own, of one encoder and one head. The baseline that every frozen representation must stand beside.

    X:          {stream: Panel} or `Streams`, with labels; only what shall be learned from.
    validation: the same of others: the weights of the lowest cross-entropy on it are kept, and training stops early
                (training.validate_every, training.patience). None: the last weights.
    InputError without labels, or with one class.
    """
    parts = [stream_fitting.cut(as_streams(part), plan.data, LONGEST) for part in (X, validation) if part is not None]
    learned = parts[0]
    if learned.label is None or len(np.unique(learned.label)) < 2:
        raise InputError("expected labels of at least two classes to train with, got none or one: give a column label")
    classes = np.unique(learned.label)
    parts[1:] = [part.rows(np.isin(np.asarray(part.label), classes)) for part in parts[1:]]
    known, joint = stream_fitting.parts(learned, plan), stream_fitting.needs(plan) > 1
    shape = stream_fitting.shape(learned)
    labels: list[torch.Tensor] = []
    data: list[dict[str, Series]] = []
    for part in parts:
        made: Series | Batch = stream_fitting.batch(part, known)
        rows = np.arange(part.count)
        if not joint:
            made, rows = stream_fitting.pooled(part, known)
        first = sum(
            len(told) for told in labels
        )  # rows of the validation part are numbered after those of the training part
        data.append({name: replace(series, row=series.row + first) for name, series in as_batch(made).items()})
        labels.append(torch.from_numpy(np.searchsorted(classes, np.asarray(part.label)[rows])))
    if not joint:
        shape = replace(shape, rows=len(labels[0]), streams=(), subject=None)
    method = _method(plan, shape, len(classes), CrossEntropy(torch.cat(labels), joint=joint))
    held = data[1] if len(data) > 1 else None
    encoder, history = train(method, data[0], plan.training, seed=plan.seed, validation=held)
    first_stream = next(iter(known.values()))
    described = stream_fitting.described(learned, plan, None)
    encoder = encoder.to(device="cpu", dtype=torch.float32)
    model = Model(encoder, plan, first_stream.scaler, described, first_stream.check, history, streams=known)
    return Supervised(model, classes)


def _method(plan: Plan, shape: DataShape, classes: int, loss: CrossEntropy) -> Method:
    with randomness.seeded(plan.seed, randomness.WEIGHTS):
        encoder = encoder_for(plan, shape)
        view = plan.method.build(encoder, shape).view
        taught: nn.Module
        if isinstance(encoder, Each):
            taught = Each({name: Classifier(encoder.of(name), classes) for name in encoder.streams})
        else:
            taught = Classifier(encoder, classes)
    return Method("supervised", view, taught, (Phase("supervised", (taught,), {"cross entropy": loss}),))
