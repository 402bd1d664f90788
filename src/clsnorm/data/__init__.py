"""Data: sources with declared readers, splits, cached tokens, and the batches that every process takes."""

from clsnorm.data.formats.delimited import Delimited
from clsnorm.data.formats.layouts import Alternatives, FilePerClass, FilePerText, JsonLists, LineAligned, XmlElements
from clsnorm.data.formats.readers import Columns, FileReader, JsonLines, LabelledLines, ParquetFile, Reader
from clsnorm.data.module import DataModule
from clsnorm.data.own_files.user_files import UserFiles
from clsnorm.data.sources.hub import HubSource
from clsnorm.data.sources.source import FilesSource, Source, Unavailable
from clsnorm.data.sources.wheel import WheelSource
from clsnorm.data.tokens.sampling import GlobalBatches, Part

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
