"""Pictures: arrays in, a matplotlib Figure out, ready for `figure.savefig(path)`.

matplotlib is imported when a picture is drawn. Figures are made without pyplot: no global state, no window, nothing to
close, and they can be drawn on a machine without a screen and from several threads.
"""
