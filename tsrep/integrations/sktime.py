"""sktime: an embedder that learns without labels, as a transformer of panels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sktime.transformations.base import BaseTransformer

import tsrep


class ContrastiveEmbedder(BaseTransformer):  # type: ignore[misc]
    """Learns an encoder by contrast, without labels, and turns every series into one embedding.

    ``fit`` learns from the panel alone and ignores ``y``; ``transform`` gives one row for each series, so it stands before any
    scikit-learn estimator of tables. Series may differ in length and miss values.

    Parameters
    ----------
    method : str, dict or configuration, default="ts2vec"
        How to learn, as in ``tsrep.fit``: a name, or a name with settings such as ``{"name": "ts2vec", "temperature": 0.5}``.
    encoder : str, dict or configuration, default="dilated"
        What learns, as in ``tsrep.fit``.
    training : dict, optional
        Settings of the training such as ``{"steps": 200, "batch_size": 16}``.
    window : int, optional
        Steps of a training window; longer series are cut. None: whole series (those of more than 3000 steps in equal parts).
        ``transform`` always embeds whole series.
    hop : int, optional
        Steps from one training window to the next, ``window`` where it is None.
    pool : str, optional
        How the embeddings of a series' steps become one: "max", "mean", "last", "rich" or "levels". None: the encoder's own way.
    random_state : int, RandomState or None, default=0
        Seed of weights, order and views. None: another one at every fit.

    Attributes
    ----------
    model_ : tsrep.Model
        The fitted model; ``model_.save(path)`` writes it as a folder that ``tsrep.load`` and ``tsrep serve`` take.

    Raises
    ------
    tsrep.InputError
        For infinite values, series without any observed value, fewer than two windows to learn from, or other channels in
        ``transform`` than in ``fit``. It is a ValueError.

    References
    ----------
    .. [1] Yue et al., "TS2Vec: Towards Universal Representation of Time Series", AAAI 2022.

    Examples
    --------
    >>> from sktime.datasets import load_basic_motions
    >>> from tsrep.integrations.sktime import ContrastiveEmbedder
    >>> X, y = load_basic_motions(split="train", return_type="numpy3D")
    >>> embedder = ContrastiveEmbedder(training={"steps": 2})
    >>> embedder.fit_transform(X).shape
    (40, 320)
    """

    # The forms that tsrep reads by itself come as they are; the first stands for all others.
    _tags = {  # noqa: RUF012 - sktime's way to say it
        "authors": ["tsrep"],
        "maintainers": ["tsrep"],
        "python_dependencies": ["torch"],
        "object_type": "transformer",
        "scitype:transform-input": "Panel",
        "scitype:transform-output": "Primitives",
        "scitype:instancewise": False,  # an embedding depends on the panel that was fitted
        "X_inner_mtype": ["pd-multiindex", "numpy3D", "df-list", "nested_univ"],
        "y_inner_mtype": "None",
        "requires_y": False,
        "fit_is_empty": False,
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:unequal_length:removes": True,
        "capability:missing_values": True,
        "capability:missing_values:removes": True,
        "capability:categorical_in_X": False,
        "capability:random_state": True,
        "property:randomness": "derandomized",
    }

    def __init__(
        self,
        method: Any = "ts2vec",
        encoder: Any = "dilated",
        training: Any = None,
        window: int | None = None,
        hop: int | None = None,
        pool: str | None = None,
        random_state: Any = 0,
    ) -> None:
        self.method = method
        self.encoder = encoder
        self.training = training
        self.window = window
        self.hop = hop
        self.pool = pool
        self.random_state = random_state
        super().__init__()

    def _fit(self, X: Any, y: Any = None) -> ContrastiveEmbedder:
        self.model_ = tsrep.fit(
            _panel(X),
            method=self.method,
            encoder=self.encoder,
            training=self.training,
            window=self.window,
            hop=self.hop,
            seed=_seed(self.random_state),
        )
        return self

    def _transform(self, X: Any, y: Any = None) -> pd.DataFrame:
        return pd.DataFrame(self.model_.embed(_panel(X), self.pool), index=_instances(X))

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Settings that learn in a blink, for sktime's checks.

        Parameters
        ----------
        parameter_set : str
            Name of the set; there is one.

        Returns
        -------
        list of dict
        """
        # The checks fit single series too: windows make several of one, two of which can be contrasted.
        tiny = {
            "encoder": {"name": "dilated", "hidden": 4, "depth": 2, "features": 4},
            "training": {"steps": 1, "batch_size": 4},
        }
        return [
            tiny | {"window": 6},
            tiny | {"method": "simclr", "window": 8, "hop": 4, "pool": "mean", "random_state": 1},
        ]


def _panel(X: Any) -> tsrep.Panel:
    """sktime's panel as ours. Names that sktime makes up (var_0, dim_0, by form of panel) say no more than the place does."""
    panel = tsrep.as_panel(X)
    bare = all(name in (f"var_{place}", f"dim_{place}") for place, name in enumerate(panel.channels))
    return tsrep.Panel(panel.values, () if bare else panel.channels, panel.rate)


def _instances(X: Any) -> pd.Index | None:
    """Names of the series, where the panel has any."""
    if not isinstance(X, pd.DataFrame):
        return None
    return X.index.get_level_values(0).unique() if X.index.nlevels > 1 else X.index


def _seed(random_state: Any) -> int:
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    from sklearn.utils import check_random_state

    drawn: int = check_random_state(random_state).randint(2**31 - 1)
    return drawn
