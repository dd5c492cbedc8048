"""MONAI Deploy app: two DICOM series in, the fused one out."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from monai.deploy.conditions import CountCondition
from monai.deploy.core import Application

from ..exit_codes import BAD_INPUT
from ..scripts.data.study_report import REPORT_NAME
from ..scripts.dicom.find import list_series
from ..scripts.dicom.privacy import quiet_pydicom
from ..scripts.utils.checks import InputError, input_error_behind
from ..scripts.utils.files import check_writable
from .fusion_operator import FusionOperator
from .loader_operator import LoaderOperator
from .series_selector_operator import SeriesSelectorOperator

__all__ = ["FusionApp", "main"]

RULES = Path(__file__).with_name("series_rules.json")
RULES_VARIABLE = "MMIF_AMIN_SERIES_RULES"


class FusionApp(Application):
    """Fuses an MR series with a CT, PET or SPECT series of the same patient.

    Research use only, not for diagnosis.

    - Model: MMIF-AMIN, the weights that this package brings, slice by slice; see the model card.
    - Hardware: a CPU is enough. Where there is CUDA the network runs on it, which has not been tried in this app.
    - Run time: 15 s and 1.1 GB of memory for 48 slices of 256 x 256 on one grid, on two CPU cores (60 s where they had
      other work); 5 to 10 s of it is the start. Registration of 2 mm volumes of a head took 10 s more.
    - Input: a folder with the DICOM of both series and, if need be, others; ``series_rules.json`` says which two.
    - Output: ``dicom/``, the fused series (12 bit, derived, in study and frame of reference of the MR); with PET and
      SPECT ``dicom_color/``; ``dicom_source_b/`` and ``dicom_objects/`` (see docs/studies.md); ``preview.png``;
      ``report.json``.

    Args:
        argv: the command line: program, ``-i`` input folder, ``-o`` output folder.

    Raises:
        InputError: When a model is named; the app brings its own.
    """

    def __init__(self, argv: list[str]) -> None:
        super().__init__([sys.executable, argv[0]])  # Holoscan's own options, which mean nothing here, hide the SDK's
        self.app_context = Application.init_app_context(argv)
        if "log_level" not in self.app_context.args:  # else the SDK logs series descriptions, and all may stand there
            logging.getLogger().setLevel(logging.WARNING)
        if "model" in self.app_context.args:
            raise InputError(f"-m {self.app_context.args['model']}: the app brings its own model. Leave it out.")

    def compose(self) -> None:
        """Wire the operators: load, choose, fuse.

        Raises:
            InputError: When input, output or rules cannot be used.
        """
        source, output = (Path(path).resolve() for path in (self.app_context.input_path, self.app_context.output_path))
        if not source.is_dir():
            raise InputError(f"{source}: expected a folder with DICOM. Name it with -i.")
        check_writable(output / REPORT_NAME)
        if output.exists() and any(output.iterdir()):
            raise InputError(f"{output}: expected a new or empty folder, there is something. Choose another output.")
        if source in (output, *output.parents):
            raise InputError(f"{output}: the output would lie in the input. Choose another output.")
        series = list_series(source)
        if not series:
            raise InputError(f"{source}: expected DICOM images, found none. Give the folder that the scanner exported.")
        rules = Path(os.environ.get(RULES_VARIABLE, RULES))

        load = LoaderOperator(self, CountCondition(self, 1), input_folder=source, must_load=False, name="load")
        select = SeriesSelectorOperator(self, rules_file=rules, listed=series, name="select")
        fuse = FusionOperator(self, input_folder=source, output_folder=output, name="fuse")
        self.add_flow(load, select, {("dicom_study_list", "dicom_study_list")})
        self.add_flow(select, fuse, {("study_selected_series_list", "study_selected_series_list")})


def main(argv: list[str]) -> int:
    """Run the app.

    Args:
        argv: the command line, with the program's name.

    Returns:
        0, or 2 where the input could not be used, which a line on stderr explains.
    """
    try:
        _run(argv)
        return 0
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
    # Only here, where the error no longer holds the app: what the SDK logs when the app goes comes before this line.
    print(f"mmif-amin: error: {reason}", file=sys.stderr)
    return BAD_INPUT


def _run(argv: list[str]) -> None:
    app = FusionApp(argv)
    with quiet_pydicom():
        app.run()


def _reason(error: Exception) -> str | None:
    """What was wrong with the input, in one line; None where something else went wrong."""
    cause = input_error_behind(error)
    return "; ".join(line.strip() for line in str(cause).splitlines()) if cause else None
