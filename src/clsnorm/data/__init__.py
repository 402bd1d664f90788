"""Data: sources with declared readers, splits, cached tokens, and the batches that every process takes."""

from clsnorm.data.files import UserFiles
from clsnorm.data.hub import HubSource
from clsnorm.data.module import DataModule
from clsnorm.data.readers import Columns, Delimited, JsonLines, LabelledLines, ParquetFile, Reader
from clsnorm.data.sampling import GlobalBatches, Part
from clsnorm.data.sources import FilesSource, Source, Unavailable, WheelSource

__all__ = [
    "Columns",
    "DataModule",
    "Delimited",
    "FilesSource",
    "GlobalBatches",
    "HubSource",
    "JsonLines",
    "LabelledLines",
    "ParquetFile",
    "Part",
    "Reader",
    "Source",
    "Unavailable",
    "UserFiles",
    "WheelSource",
]
