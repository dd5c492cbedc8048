"""Writing a fused study: volumes, transform, DICOM, what was lost, and a report, all or nothing."""

from __future__ import annotations

import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events

from ..data.nifti import write_nifti
from ..dicom.write import write_dicom_series
from ..inferers.slices import best_axis
from ..metrics.loss_map import loss_maps
from ..metrics.suite import FusionMetricSuite
from ..metrics.vif import MIN_SIZE
from ..transforms.registration.transform import Registration
from ..utils.checks import InputError
from ..utils.enums import SourceKeys
from ..utils.files import check_writable, is_nifti

__all__ = ["StudyWriter"]

MEASURED_SLICES = 64  # metrics look at so many slices at most, evenly spaced
NOTICE = "Research use only, not for diagnosis."


class StudyWriter:
    """Writes what a fusion of two volumes made, when it is complete.

    Into a folder: ``fused.nii.gz`` (float32 in [0, 1]), ``fused_color.nii.gz`` (RGB, with PET and SPECT),
    ``source_a.nii.gz``, ``source_b.nii.gz`` and, where it was registered, ``source_b_unregistered.nii.gz`` (on the
    fusion grid, in their units), ``registration.tfm``, ``report.json``, and if asked for ``loss_a.nii.gz``,
    ``loss_b.nii.gz``, ``dicom/`` and, with colours, ``dicom_color/``. No file says who the patient is but the DICOM,
    which must.

    Args:
        output: a new or empty folder; or a name ending in .nii or .nii.gz for the fused volume alone.
        version: of the bundle, for the report.
        dicom: also write DICOM series; source A must be DICOM. Defaults to False.
        loss_map: also map what the fused volume does not hold of each source. Defaults to False.
        colormap: the one of the colours, for the report. Defaults to ``"hot"``.
        runtime: what ran the network, for the report. Defaults to ``"torch"``.
        precision: of the network, for the report. Defaults to ``"float32"``.

    Raises:
        InputError: When ``output`` is not empty, cannot be written, or DICOM is asked for without DICOM sources;
            checked before the work begins where that is possible.
    """

    def __init__(
        self,
        output: str | os.PathLike,
        version: str,
        dicom: bool = False,
        loss_map: bool = False,
        colormap: str = "hot",
        runtime: str = "torch",
        precision: str = "float32",
    ) -> None:
        self.output = Path(output)
        self.version = version
        self.dicom = dicom
        self.loss_map = loss_map
        self.colormap = str(colormap)
        self.network = {"runtime": str(runtime), "precision": str(precision)}
        self.began = time.perf_counter()

    def attach(self, engine: Engine) -> None:
        """Check the output before the run and write after each study."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def start(self, engine: Engine) -> None:
        """Check that the output can be written."""
        self.began = time.perf_counter()
        check_writable(self.output)
        alone = is_nifti(self.output)
        if alone and (self.dicom or self.loss_map):
            raise InputError(f"{self.output}: expected a folder as output, because DICOM or loss maps are asked for.")
        if alone and self.output.is_dir():
            raise InputError(f"{self.output}: expected a file name for the fused volume, found a folder.")
        if not alone and self.output.exists() and (not self.output.is_dir() or any(self.output.iterdir())):
            raise InputError(
                f"{self.output}: expected a new or empty folder, there is something. Choose another output."
            )

    def __call__(self, engine: Engine) -> None:
        """Write one study."""
        batch, output = engine.state.batch, engine.state.output
        study: dict[str, Any] = {**batch, **output}  # type: ignore[dict-item]
        fused, image = (study[key].cpu() for key in ("pred", "image"))
        affine = study[SourceKeys.SOURCE_A.value].affine.numpy()
        if is_nifti(self.output):
            write_nifti(self.output, fused[0].numpy(), affine)
            return
        if self.dicom and not study["source_a_file"].headers:
            raise InputError("DICOM output: expected DICOM as source A, got NIfTI. Leave out --dicom.")
        self._in_one_go(lambda folder: self._write(folder, study, fused[0, 0].numpy(), image[0].numpy(), affine))

    def _in_one_go(self, write: Callable[[Path], None]) -> None:
        """Write into a folder beside the output and rename it."""
        try:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{self.output.name}-", dir=self.output.parent))
        except OSError as error:
            raise InputError(f"{self.output}: cannot write there: {error.strerror}. Choose another output.") from error
        try:
            write(temporary)
            mask = os.umask(0)
            os.umask(mask)
            temporary.chmod(0o777 & ~mask)
            if self.output.is_dir():
                self.output.rmdir()
            temporary.rename(self.output)
        except OSError as error:
            raise InputError(f"{self.output}: could not be written: {error}. Nothing was left there.") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _write(
        self, folder: Path, study: Mapping[str, Any], fused: np.ndarray, image: np.ndarray, affine: np.ndarray
    ) -> None:
        write_nifti(folder / "fused.nii.gz", fused[None], affine)
        color = study.get("pred_color")
        if color is not None:
            write_nifti(folder / "fused_color.nii.gz", color.numpy(), affine)
        for key in ("source_a", "source_b", "source_b_unregistered"):
            if study.get(key) is not None:
                write_nifti(folder / f"{key}.nii.gz", study[key].numpy(), affine)
        registration: Registration | None = study.get("source_b_registration")
        if registration is not None:
            registration.write(folder / "registration.tfm")
        lost = self._write_loss(folder, fused, image, affine) if self.loss_map else None
        if self.dicom:
            files = [study["source_a_file"], study["source_b_file"]]
            write_dicom_series(folder / "dicom", fused, affine, files[0], files)
            if color is not None:
                rgb = color.numpy()
                write_dicom_series(folder / "dicom_color", fused, affine, files[0], files, rgb=rgb)
        report = {
            "notice": NOTICE,
            "version": self.version,
            "network": self.network,
            "task": study[SourceKeys.TASK.value],
            "grid": {
                "shape": list(fused.shape),
                "spacing": np.linalg.norm(affine[:3, :3], axis=0).round(6).tolist(),
                "affine": affine.tolist(),
            },
            "sources": {letter: self._source(study, f"source_{letter}") for letter in "ab"},
            "colormap": self.colormap if color is not None else None,
            "registration": registration.to_dict() if registration else None,
            "metrics": self._metrics(fused, image, affine),
            "loss": lost,
            "seconds": round(time.perf_counter() - self.began, 2),
            "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        }
        (folder / "report.json").write_text(json.dumps(report, indent=4) + "\n")

    @staticmethod
    def _source(study: Mapping[str, Any], key: str) -> dict[str, Any]:
        file = study[f"{key}_file"]
        return {
            "modality": study[key].meta["modality"],
            "unit": file.unit,
            "window": list(study[f"{key}_window"]),
            "notes": list(file.notes),
        }

    def _slices(self, *volumes: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, ...]:
        """The volumes as stacks of the slices that were fused."""
        axis = best_axis(volumes[0].shape, affine)
        return tuple(np.moveaxis(volume, axis, 0) for volume in volumes)

    def _write_loss(self, folder: Path, fused: np.ndarray, image: np.ndarray, affine: np.ndarray) -> dict[str, float]:
        maps, lost = loss_maps(*self._slices(fused, *image, affine=affine))
        axis = best_axis(fused.shape, affine)
        for letter, volume in zip("ab", maps, strict=True):
            write_nifti(folder / f"loss_{letter}.nii.gz", np.moveaxis(volume, 0, axis)[None], affine)
        return dict(zip("ab", lost, strict=True))

    def _metrics(self, fused: np.ndarray, image: np.ndarray, affine: np.ndarray) -> dict[str, float]:
        """Means over slices that show both sources; none where they are too small for VIF."""
        stacks = self._slices(fused, *image, affine=affine)
        if min(stacks[0].shape[1:]) < MIN_SIZE:
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
