"""Encoders: a series in, step embeddings and one pooled embedding out.

An encoder is a module with `channels`, `features`, `causal` and `forward(series) -> Embedding`; where the embedding of a window is not
as wide as that of a step, `step_features` is the latter. Each file holds one frozen
dataclass, its configuration, whose `build(channels, length)` makes the module for windows of about that length. When it has learned, it
is given a buffer `levels` (`tsrep.levels`).
"""
