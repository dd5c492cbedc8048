"""Writing a fused study, all of it or nothing: volumes, transform, DICOM, loss maps and the report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from ..data.nifti import write_nifti
from ..data.study_report import (
    REPORT_NAME,
    AlignmentReport,
    GridReport,
    LossReport,
    NetworkReport,
    RegistrationReport,
    SourceReport,
    SourcesReport,
    StudyReport,
)
from ..dicom.write import write_dicom_series
from ..dicom.write_source import write_source_series
from ..inferers.refinement import Refinement
from ..inferers.runtimes import OnnxNetwork
from ..inferers.slices import best_axis
from ..metrics.loss_map import loss_maps
from ..metrics.suite import METRICS_MIN_SIZE, FusionMetricSuite
from ..utils.checks import InputError
from ..utils.enums import ColorMap, Modality, Precision, Runtime, SourceKeys, StudyKeys
from ..utils.files import check_new_output, is_nifti, write_folder_atomically
from ..utils.memory import PeakMemory
from ..utils.metadata import bundle_metadata

__all__ = ["FurtherWriter", "StudyWriter"]

FurtherWriter = Callable[[Path, Mapping[str, Any]], object]

MEASURED_SLICES = 64  # metrics look at so many slices at most, evenly spaced


class StudyWriter:
    """Writes what a fusion of two volumes made, when it is complete.

    Into a folder: ``fused.nii.gz`` (float32 in [0, 1]), ``fused_color.nii.gz`` (RGB, with PET and SPECT),
    ``source_a.nii.gz``, ``source_b.nii.gz`` and, where it was registered, ``source_b_unregistered.nii.gz`` (on the
    fusion grid, in their units), ``registration.tfm``, ``report.json`` (:class:`StudyReport`), and if asked for
    ``loss_a.nii.gz``, ``loss_b.nii.gz``, ``dicom/``, ``dicom_source_b/`` (source B on the fusion grid, as a series of
    its own modality) and, with colors, ``dicom_color/``. Only the DICOM files say who the patient is, because they
    must.

    Args:
        output: a new or empty folder; or a name ending in .nii or .nii.gz for the fused volume alone.
        dicom: also write DICOM series; source A must be DICOM. Defaults to False.
        loss_map: also map what the fused volume does not hold of each source. Defaults to False.
        settings: options of the fusion, for the report; None is written as ``default``. Defaults to none.
        further: what writes more into the folder, when all of the above is there: each is called with the folder and
            the study, the evaluator's batch and output together. Defaults to none.

    Raises:
        InputError: When ``output`` is not empty, cannot be written, or DICOM is asked for without DICOM sources;
            checked before the work begins where that is possible.
    """

    def __init__(
        self,
        output: str | os.PathLike,
        dicom: bool = False,
        loss_map: bool = False,
        settings: Mapping[str, Any] | None = None,
        further: Sequence[FurtherWriter] = (),
    ) -> None:
        self.output = Path(output)
        self.settings = {name: "default" if value is None else str(value) for name, value in (settings or {}).items()}
        self.dicom = dicom
        self.loss_map = loss_map
        self.further = tuple(further)
        self.memory = PeakMemory()
        self.began = time.perf_counter()

    def attach(self, engine: Engine) -> None:
        """Check the output before the run and write after each study."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.fail)

    def start(self, engine: Engine) -> None:
        """Check that the output can be written, and begin to measure time and memory."""
        self.memory.start()
        self.began = time.perf_counter()
        check_new_output(self.output, self.dicom or self.loss_map or bool(self.further))

    def fail(self, engine: Engine, error: BaseException) -> None:
        """Stop measuring; the error goes on."""
        self.memory.stop()
        raise error

    def __call__(self, engine: Engine) -> None:
        """Write one study."""
        study: dict[str, Any] = {**engine.state.batch, **engine.state.output}  # type: ignore[dict-item]
        fused, image = (study[key].cpu().numpy()[0] for key in (CommonKeys.PRED, CommonKeys.IMAGE))
        affine = study[SourceKeys.SOURCE_A].affine.numpy()
        if is_nifti(self.output):
            write_nifti(self.output, fused, affine, _warning(study))
            self.memory.stop()
            return
        if self.dicom and not study[StudyKeys.SOURCE_A_FILE].headers:
            raise InputError("DICOM output: expected DICOM as source A, got NIfTI. Leave out --dicom.")

        def write(folder: Path) -> None:
            _write_volumes(folder, study, fused, affine)
            lost = _write_loss(folder, study, fused[0], image, affine) if self.loss_map else None
            if self.dicom:
                _write_dicom(folder, study, fused[0], affine)
            self._report(engine, study, fused[0], image, affine, lost).write(folder / REPORT_NAME)
            for write_more in self.further:
                write_more(folder, study)

        write_folder_atomically(self.output, write)

    def _report(
        self,
        engine: Engine,
        study: Mapping[str, Any],
        fused: np.ndarray,
        image: np.ndarray,
        affine: np.ndarray,
        lost: LossReport | None,
    ) -> StudyReport:
        registration = study.get(StudyKeys.SOURCE_B_REGISTRATION)
        alignment = study.get(StudyKeys.SOURCE_B_ALIGNMENT)
        color = study.get(StudyKeys.PRED_COLOR)
        metrics = _metrics(fused, image, affine)
        return StudyReport(
            version=bundle_metadata()["version"],
            network=_network(engine.network),  # type: ignore[attr-defined]
            refinement=refinement.report() if (refinement := _refinement(engine)) else None,
            settings=self.settings,
            task=study[SourceKeys.TASK],
            grid=GridReport(
                shape=fused.shape,  # type: ignore[arg-type]
                spacing=tuple(np.linalg.norm(affine[:3, :3], axis=0).round(6).tolist()),
                affine=tuple(map(tuple, affine.tolist())),  # type: ignore[arg-type]
            ),
            sources=SourcesReport(a=_source(study, SourceKeys.SOURCE_A), b=_source(study, SourceKeys.SOURCE_B)),
            colormap=None if color is None else ColorMap(color.meta["colormap"]),
            alignment=AlignmentReport.from_dict(alignment.to_dict()) if alignment else None,
            registration=RegistrationReport.from_dict(registration.to_dict()) if registration else None,
            metrics=metrics,
            loss=lost,
            patient_differs_in=tuple(study.get(StudyKeys.PATIENT_DIFFERS_IN, ())),
            seconds=round(time.perf_counter() - self.began, 2),
            peak_memory_gb=round(self.memory.stop() / 2**30, 2),
        )


def _network(network: torch.nn.Module) -> NetworkReport:
    """What the network is in fact, whatever was asked for."""
    kinds = ((OnnxNetwork, Runtime.ONNX), (torch.jit.ScriptModule, Runtime.TORCHSCRIPT), (object, Runtime.TORCH))
    runtime = next(runtime for kind, runtime in kinds if isinstance(network, kind))
    reduced = any(parameter.dtype == torch.bfloat16 for parameter in network.parameters())
    return NetworkReport(runtime=runtime, precision=Precision.BFLOAT16 if reduced else Precision.FLOAT32)


def _refinement(engine: Engine) -> Refinement | None:
    """What refined the images of an evaluator's inferer, if anything did."""
    return getattr(getattr(engine, "inferer", None), "refinement", None)


def _source(study: Mapping[str, Any], key: str) -> SourceReport:
    file = study[StudyKeys.file(key)]
    low, high = study[StudyKeys.window(key)]
    return SourceReport(
        modality=Modality(study[key].meta["modality"]),
        unit=file.unit,
        window=(float(low), float(high)),
        notes=tuple(file.notes),
    )


def _warning(study: Mapping[str, Any]) -> str:
    """What the header of each volume says of the registration."""
    registration = study.get(StudyKeys.SOURCE_B_REGISTRATION)
    return registration.warning if registration else ""


def _write_volumes(folder: Path, study: Mapping[str, Any], fused: np.ndarray, affine: np.ndarray) -> None:
    """Write the fused volume, in gray and in color, the sources and the transform between them."""
    warning = _warning(study)
    write_nifti(folder / "fused.nii.gz", fused, affine, warning)
    if study.get(StudyKeys.PRED_COLOR) is not None:
        write_nifti(folder / "fused_color.nii.gz", study[StudyKeys.PRED_COLOR].numpy(), affine, warning)
    for key in (SourceKeys.SOURCE_A, SourceKeys.SOURCE_B, StudyKeys.SOURCE_B_UNREGISTERED):
        if study.get(key) is not None:
            write_nifti(folder / f"{key}.nii.gz", study[key].numpy(), affine, warning)
    if study.get(StudyKeys.SOURCE_B_REGISTRATION) is not None:
        study[StudyKeys.SOURCE_B_REGISTRATION].write(folder / "registration.tfm")


def _write_dicom(folder: Path, study: Mapping[str, Any], fused: np.ndarray, affine: np.ndarray) -> None:
    files = [study[StudyKeys.SOURCE_A_FILE], study[StudyKeys.SOURCE_B_FILE]]
    write_dicom_series(folder / "dicom", fused, affine, files[0], files)
    color = study.get(StudyKeys.PRED_COLOR)
    if color is not None:
        write_dicom_series(folder / "dicom_color", fused, affine, files[0], files, rgb=color.numpy())
    b = study[SourceKeys.SOURCE_B]
    write_source_series(
        folder / "dicom_source_b",
        b.numpy()[0],
        affine,
        files[0],
        replace(files[1], modality=Modality(b.meta["modality"])),
        study[StudyKeys.SOURCE_B_WINDOW],
        registration.matrix if (registration := study.get(StudyKeys.SOURCE_B_REGISTRATION)) else None,
    )


def _slices(*volumes: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, ...]:
    """The volumes as stacks of the slices that were fused."""
    axis = best_axis(volumes[0].shape, affine)
    return tuple(np.moveaxis(volume, axis, 0) for volume in volumes)


def _write_loss(
    folder: Path, study: Mapping[str, Any], fused: np.ndarray, image: np.ndarray, affine: np.ndarray
) -> LossReport:
    maps, lost = loss_maps(*_slices(fused, *image, affine=affine))
    axis = best_axis(fused.shape, affine)
    for letter, volume in zip("ab", maps, strict=True):
        write_nifti(folder / f"loss_{letter}.nii.gz", np.moveaxis(volume, 0, axis)[None], affine, _warning(study))
    return LossReport(a=lost[0], b=lost[1])


def _metrics(fused: np.ndarray, image: np.ndarray, affine: np.ndarray) -> dict[str, float]:
    """Means over slices that show both sources; none where they are too small for the metrics."""
    stacks = _slices(fused, *image, affine=affine)
    if min(stacks[0].shape[1:]) < METRICS_MIN_SIZE:
        return {}
    shown = [k for k in range(len(stacks[0])) if min(stacks[1][k].max(), stacks[2][k].max()) > 0]
    chosen = shown[:: 1 + (len(shown) - 1) // MEASURED_SLICES] if shown else []
    if not chosen:
        return {}
    suite = FusionMetricSuite()
    for k in chosen:
        planes = torch.from_numpy(np.stack([stack[k] for stack in stacks]))[:, None, None]
        suite(planes[0], planes[1:, 0].transpose(0, 1))
    return suite.aggregate()
