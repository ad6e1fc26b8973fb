"""Recordings in, windows out: readers, windows, splits, scaling and the catalogue.

Imports numpy and pandas only. `windows` and `fingerprint` are the functions; the files of these names hold them.
"""

from tsrep.data.alignment import resampled, together
from tsrep.data.catalogue import entries, load, load_streams
from tsrep.data.entry import Dataset, Entry, StreamSet
from tsrep.data.fingerprint import fingerprint
from tsrep.data.layout import check_channels
from tsrep.data.panel import Panel, join
from tsrep.data.readers import as_panel, as_streams, read_streams, to_npz
from tsrep.data.scaling import Scaler
from tsrep.data.splits import Split, by_rows, by_subject, by_time, check_leak, stratified_fraction
from tsrep.data.streams import Streams
from tsrep.data.table import to_table
from tsrep.data.windows import windows

__all__ = [
    "Dataset",
    "Entry",
    "Panel",
    "Scaler",
    "Split",
    "StreamSet",
    "Streams",
    "as_panel",
    "as_streams",
    "by_rows",
    "by_subject",
    "by_time",
    "check_channels",
    "check_leak",
    "entries",
    "fingerprint",
    "join",
    "load",
    "load_streams",
    "read_streams",
    "resampled",
    "stratified_fraction",
    "to_npz",
    "to_table",
    "together",
    "windows",
]
