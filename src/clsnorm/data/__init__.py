"""Data: sources and file formats, splits, cached tokens, and batches. See ``README.md`` in this folder."""

from clsnorm.data.formats.clinc150 import JsonLists
from clsnorm.data.formats.copa import Alternatives, XmlElements
from clsnorm.data.formats.delimited import Delimited
from clsnorm.data.formats.file_groups import FilePerClass, FilePerText, LineAligned
from clsnorm.data.formats.json_lines import JsonLines
from clsnorm.data.formats.labelled_lines import LabelledLines
from clsnorm.data.formats.parquet import ParquetFile
from clsnorm.data.formats.reader import FileReader, Reader, Table
from clsnorm.data.module import DataModule
from clsnorm.data.own_files.user_files import UserFiles
from clsnorm.data.sources.files_source import FilesSource
from clsnorm.data.sources.hub import HubSource
from clsnorm.data.sources.source import Source, Unavailable
from clsnorm.data.sources.wheel import WheelSource
from clsnorm.data.tokens.sampling import GlobalBatches, Part

__all__ = [
    "Alternatives",
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
    "Table",
    "Unavailable",
    "UserFiles",
    "WheelSource",
    "XmlElements",
]
