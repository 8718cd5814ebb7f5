"""Metrics in a CSV file that a killed run leaves with every row that it had."""

from __future__ import annotations

import csv
import io
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.loggers.logger import rank_zero_experiment

from medgrpo.services.files import write_whole

__all__ = ["MetricsCSV"]


class MetricsCSV(CSVLogger):
    """Lightning's logger; a column that first occurs in the middle of a run puts no earlier row at risk.

    Lightning empties the file to write it again under the longer header.
    """

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer; see :class:`CSVLogger`."""
        if self._experiment is None:
            self._experiment = _Writer(log_dir=self.log_dir)
        return self._experiment


class _Writer(ExperimentWriter):
    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        with open(self.metrics_file_path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames)
        writer.writeheader()
        writer.writerows(rows)
        write_whole(self.metrics_file_path, text.getvalue())
