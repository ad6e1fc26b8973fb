"""Methods: one small file each, a choice of views, pairs and objective. A new file appears in the CLI, the tests and the README.

A method is a frozen dataclass with `build(encoder, data) -> Method`. `recommended` holds what its authors set in training.
"""
