"""A model for those who only serve it: its export, without torch. What the export does not take, the whole model computes."""

from __future__ import annotations

import shutil
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from tsrep import drift, folders, forecast_heads, heads, pools, runtime
from tsrep.data.columns import CALENDAR, apart, columns
from tsrep.data.layout import check_channels
from tsrep.data.readers import as_panel
from tsrep.data.scaling import Scaler
from tsrep.errors import InputError
from tsrep.runtime import CHUNK, Run, Runtime

if TYPE_CHECKING:
    from tsrep.model import Model


def load_light(path: str | Path, *, threads: int | None = None) -> Light | Model:
    """The model in this folder for embedding alone: a `Light` one where its export suffices, else `tsrep.load(path)`.

    threads: processor threads of the export. TSREP_RUNTIME=torch asks for the whole model.
    """
    folder = folders.find(path)
    if (folder / runtime.NAME).is_file() and (folder / "data.json").is_file():
        held = folders.json_of(folder / "data.json")
        fast = folders.exported(folder, held.get("export"), None, threads)
        if fast is not None:
            return Light(folder, held, fast, threads)
    from tsrep.loading import load

    return load(folder)


class Light:
    """Embeds as `tsrep.Model` does, and knows what a service tells of a model: `data`, `plan` (plain), `features`, `check`, `card`,
    `head`, `forecaster` and `reference`.

    Longer windows than the export takes need the rest of the folder, which is read then: InputError where another model stands there.
    Raises InputError where the folder is damaged, or the export does not give the embeddings that are stored beside it.
    """

    def __init__(self, folder: Path, held: dict[str, Any], fast: Runtime, threads: int | None = None) -> None:
        import yaml
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        self._folder, self._fast, self._threads, self._weights = folder, fast, threads, held.get("weights")
        self.streams = ()  # a model of several streams has no export
        try:
            self.plan: dict[str, Any] = yaml.safe_load((folder / "plan.yaml").read_text())
            self.scaler = Scaler.from_dict(held["scaler"])
            plain = {key: tuple(value) if isinstance(value, list) else value for key, value in held.items()}
            self.data = SimpleNamespace(**{key: plain[key] for key in plain if key not in folders.OF_THE_FOLDER})
            self._columns = self.plan["data"].get("channels"), self.plan["data"]["calendar"]
            self._alone = bool(self.plan["data"]["independent"])
            stored = load_file(folder / "check.safetensors")
            self.check, expected = stored["inputs"], stored["embeddings"]
            self._card = (folder / "README.md").read_text()
        except (OSError, KeyError, TypeError, UnicodeDecodeError, yaml.YAMLError, SafetensorError) as error:
            raise InputError(f"expected a tsrep model in {folder}, it is damaged: {error!r}") from error
        self.head = heads.beside(folder, held, self.width)
        self.forecaster = forecast_heads.beside(folder, held, self.width)
        self.reference = drift.beside(folder, held, self.features)
        folders.prove(self.embed(self.check), expected, folder, folders.tolerance_of(fast))

    @property
    def runtime(self) -> str:
        return self._fast.name

    @property
    def pools(self) -> tuple[str | None, ...]:
        """`Model.pools`."""
        return tuple(pool for pool in pools.WHOLE if pool in self._fast.pools)

    @property
    def features(self) -> int:
        own = len(set(self.data.channels) - set(CALENDAR)) if self._alone else 1
        return self._fast.features * own

    def width(self, pool: str | None = None) -> int:
        """`Model.width`."""
        return pools.width(self.features, pool)

    def embed(self, X: Any, pool: str | None = None, *, batch_size: int = CHUNK) -> np.ndarray:
        """`Model.embed`."""
        if pool == "levels" and pool not in self.pools:
            raise pools.without_levels()
        known = (*self.pools, pools.STEPS)
        if pool not in known:
            raise InputError(f"expected pool to be one of {', '.join(map(str, known))}, got {pool!r}")
        panel = as_panel(X)
        bare = tuple(f"channel_{i}" for i in range(len(self.data.channels)))
        if panel.channels not in (self.data.channels, bare):
            panel = columns(panel, *self._columns)
        check_channels(panel, self.data.channels)
        values = self.scaler.transform(panel.values)
        seen = apart(values, self.data.channels) if self._alone else values
        made = runtime.embedded(self._run, seen, pool, batch_size)
        return made.reshape(len(values), -1, *made.shape[2:])

    def card(self) -> str:
        return self._card

    def save(self, path: str | Path) -> Path:
        """Copies the folder's files."""
        return Path(shutil.copytree(self._folder, path, dirs_exist_ok=True))

    def _run(self, steps: int) -> Run:
        return self._fast if steps <= self._fast.length else self._whole._by_torch

    @cached_property
    def _whole(self) -> Model:
        """For windows longer than the export takes; torch is imported with the first of them."""
        import torch

        from tsrep.loading import load

        if self._threads:
            torch.set_num_threads(self._threads)
        whole = load(self._folder, runtime.TORCH)
        if folders.json_of(self._folder / "data.json").get("weights") != self._weights:
            raise InputError(
                f"expected the model that was loaded in {self._folder}, another stands there by now: load it"
            )
        return whole
