"""The figures of a run as event files for TensorBoard, where that is installed.

Event files hold times, so they are no part of an output: they lie in the store's logs, and the same work again adds to
them. Nothing is read from them.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch  # noqa: TID253
from PIL import Image

from fungal_assets.galleries.looking_back import sheet_path
from fungal_assets.progress import OnStep

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FLUSH_S = 10
SHEET = "looks"


def is_installed() -> bool:
    """Whether TensorBoard is there to write for."""
    return importlib.util.find_spec("tensorboard") is not None


@contextmanager
def written_down(on_step: OnStep, logs: Path | None, output: Path) -> Iterator[OnStep]:
    """Within, what hears of steps in the place of `on_step`: it writes them down before it tells that.

    Args:
        on_step: Hears of every step too.
        logs: Folder of the run's event files; where it is None, or TensorBoard is not there, nothing is written.
        output: The run's output, whose sheets are shown too.
    """
    if logs is None or not is_installed():
        yield on_step
        return
    events = _Events(logs, output)

    def hear(step: int, figures: Mapping[str, float]) -> None:
        events.write(step, figures)
        on_step(step, figures)

    try:
        yield hear
    finally:
        events.close()


class _Events:
    """Writes from the first step that it hears of; what a killed run wrote of it and later ones is passed over."""

    def __init__(self, logs: Path, output: Path):
        self._logs, self._output = logs, output
        self._writer: SummaryWriter | None = None

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """One step's figures, and the sheet of the look after it, if there was one."""
        writer = self._writer or self._open(step)
        for name, value in figures.items():
            writer.add_scalar(name, value, step)
        self._show(writer, step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _open(self, step: int) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._logs), purge_step=step, flush_secs=FLUSH_S)
        if step == 1:
            self._show(self._writer, 0)
        return self._writer

    def _show(self, writer: SummaryWriter, step: int) -> None:
        path = sheet_path(self._output, step)
        if path.is_file():
            with Image.open(path) as sheet:
                pixels = torch.from_numpy(np.asarray(sheet.convert("RGB")).copy())
            writer.add_image(SHEET, pixels, step, dataformats="HWC")
            writer.flush()
