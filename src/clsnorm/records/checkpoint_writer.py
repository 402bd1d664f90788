"""How a run's checkpoints are written: sealed, into their own folder, without a copy in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from typing_extensions import override

from clsnorm.files import writing
from clsnorm.seals import Hash, write_note
from clsnorm.tensor_files import load_tensors, write_tensors


class CheckpointWriter(TorchCheckpointIO):
    """Writes and reads checkpoint files for Lightning's trainer.

    Lightning's own writer first copies the whole state into memory, then writes it to the folder for temporary files,
    then moves it: a kill in between leaves a file that is never removed, and both disks need room.

    Args:
        run: The run's folder, which is not created again if it is gone. Other folders are, for checkpoints of
            Lightning's own callbacks.
    """

    def __init__(self, run: Path) -> None:
        super().__init__()
        self._run = run
        self._written: tuple[Path, Hash] | None = None

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes a sealed file; raises `clsnorm.errors.DiskError` and leaves nothing if it cannot be written."""
        path = Path(path)
        if path.parent != self._run and self._run.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
        self._written = (path, write_tensors(path, checkpoint))

    def add_note(self, path: Path, note: dict[str, Any]) -> None:
        """Adds a few plain values to the file that was written last; `clsnorm.seals.read_note` reads them.

        Raises:
            DiskError: If it cannot be written.
        """
        written, self._written = self._written, None
        if written is not None and written[0] == path:
            with writing(path):
                write_note(path, written[1], note)

    @override
    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Returns the content of a file; raises `clsnorm.errors.DamagedFileError` if it is not what was written."""
        return load_tensors(Path(path))
