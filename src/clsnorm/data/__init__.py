"""Data: sources with declared readers, splits, cached tokens, and the batches that every process takes."""

from clsnorm.data.delimited import Delimited
from clsnorm.data.files import UserFiles
from clsnorm.data.hub import HubSource
from clsnorm.data.layouts import Alternatives, FilePerClass, FilePerText, JsonLists, LineAligned, XmlElements
from clsnorm.data.module import DataModule
from clsnorm.data.readers import Columns, FileReader, JsonLines, LabelledLines, ParquetFile, Reader
from clsnorm.data.sampling import GlobalBatches, Part
from clsnorm.data.sources import FilesSource, Source, Unavailable
from clsnorm.data.wheel import WheelSource

__all__ = [
    "Alternatives",
    "Columns",
    "DataModule",
    "Delimited",
    "FilePerClass",
    "FilePerText",
    "FileReader",
    "FilesSource",
    "GlobalBatches",
    "HubSource",
    "JsonLines",
    "JsonLists",
    "LabelledLines",
    "LineAligned",
    "ParquetFile",
    "Part",
    "Reader",
    "Source",
    "Unavailable",
    "UserFiles",
    "WheelSource",
    "XmlElements",
]
