"""Fusing the two chosen series."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from monai.deploy.core import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext

from ..reports.preview import write_preview
from ..scripts.data.study import Study
from ..scripts.data.study_report import REPORT_NAME
from ..studies import fuse_study
from .series_selector_operator import FUNCTIONAL, STRUCTURAL

__all__ = ["FusionOperator"]

# The report is last: where it is, all is complete.
RESULTS = ("dicom", "dicom_color", "dicom_source_b", "dicom_objects", "preview.png", REPORT_NAME)


class FusionOperator(Operator):
    """Fuses two series with the model's ``inference_volume.json`` and writes DICOM, a preview and a report.

    It takes of the SDK only which series were chosen. The SDK's ``DICOMSeriesToVolumeOperator`` is not used: it makes
    no SUV, straightens no gantry tilt, takes uneven slices for even ones and emits only the first image. Reading,
    registration, fusion and DICOM are those of ``mmif-amin fuse --dicom``, so that both give the same.

    Named input:
        study_selected_series_list: one series named ``structural``, one named ``functional``.

    Args:
        fragment: the application.
        input_folder: folder with both series.
        output_folder: where the results go; nothing is there under its own name before all of it is made.

    Raises:
        InputError: When the series cannot be fused.
    """

    def __init__(self, fragment: Fragment, *args: Any, input_folder: Path, output_folder: Path, **kwargs: Any) -> None:
        self.input_folder = input_folder
        self.output_folder = output_folder
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the input."""
        spec.input("study_selected_series_list")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Fuse."""
        studies = op_input.receive("study_selected_series_list")
        uids = {s.selection_name: s.series.SeriesInstanceUID for study in studies for s in study.selected_series}
        folder = str(self.input_folder)
        study = Study(folder, folder, series_a=uids[STRUCTURAL], series_b=uids[FUNCTIONAL])
        self.output_folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".mmif-amin-", dir=self.output_folder) as temporary:
            made = Path(temporary) / "study"
            lines = fuse_study(study, made, {"dicom": True})
            write_preview(made, made / "preview.png")
            for name in RESULTS:
                if (made / name).exists():
                    (made / name).rename(self.output_folder / name)
        notes = [line for line in lines if temporary not in line]
        print(*notes, f"fused: {self.output_folder}", sep="\n")
