"""Each: a part of its own for every stream, where the streams do not share one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import nn

from tsrep.errors import InputError, nearest
from tsrep.series import part_of


class Each(nn.Module):
    """An encoder (or a head) for each stream. `of` gives a stream its own; a method's `embed` sends every view there.

    parts: stream -> module, in the order of the streams. One module under two names is shared by the two.
    """

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.streams = tuple(parts)
        own = list(dict.fromkeys(parts.values()))
        self.parts = nn.ModuleList(own)  # by number: a stream may be called as no module can
        self.place = {name: own.index(part) for name, part in parts.items()}

    def of(self, stream: str) -> nn.Module:
        """The part of a stream; InputError for a stream that has none."""
        if stream not in self.place:
            raise InputError(
                f"expected one of the streams {', '.join(self.streams)}, got '{stream}'; "
                f"{nearest(stream, self.streams)}"
            )
        return self.parts[self.place[stream]]

    @property
    def features(self) -> int:
        """Width of an embedding, where it is the same for all streams; `width` asks for that of one."""
        widths = {name: width(self, name) for name in self.streams}
        if len(set(widths.values())) > 1:
            raise InputError(
                f"expected encoders of one width, got {widths}: set encoder.features alike, or a head for each stream"
            )
        return next(iter(widths.values()))


def width(encoder: nn.Module, stream: str) -> int:
    """Width of the embedding that an encoder, shared or one of several, gives a stream."""
    return cast(int, part_of(encoder, stream).features)
