"""Reports of made-up studies, for the tests of everything that reads a report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scripts.data.study_report import (
    AlignmentReport,
    DeformationReport,
    GridReport,
    LossReport,
    NetworkReport,
    RefinementReport,
    RegistrationReport,
    SourceReport,
    SourcesReport,
    StudyReport,
)
from scripts.utils.enums import ColorMap, Modality, Precision, Runtime

IDENTITY = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))

FULL = StudyReport(
    version="0.5.0",
    network=NetworkReport(runtime=Runtime.ONNX, precision=Precision.FLOAT32),
    refinement=RefinementReport(steps=20, images=18, loss_before=0.75, loss_after=0.625, seconds=12.5),
    settings={"grid": "finest", "functional_max": "default"},
    task="PET-MRI",
    grid=GridReport(shape=(28, 32, 20), spacing=(1.2, 0.9, 3.0), affine=IDENTITY),
    sources=SourcesReport(
        a=SourceReport(
            modality=Modality.MRI,
            unit="arbitrary",
            window=(0.0, 900.0),
            notes=("</script><!--VOLUMES--> spacing was uneven & größer \u2028",),
        ),
        b=SourceReport(modality=Modality.PET, unit="SUVbw", window=(0.0, 7.5), notes=()),
    ),
    colormap=ColorMap.HOT,
    registration=RegistrationReport(
        metric="normalized mutual information",
        kind="rigid",
        matrix=IDENTITY,
        rotation_deg=(1.25, -0.5, 3.0),
        translation_mm=(12.0, -3.5, 5.5),
        before=1.05,
        after=1.21,
        overlap=0.98,
        spread_mm=0.4,
        gain=0.5,
        seconds=12.3,
        method="scanned",
        beyond_limits=("it turns by 50 degrees (limit 45)",),
        deformed=DeformationReport(mean_mm=2.5, largest_mm=6.0, least_jacobian=0.7, largest_jacobian=1.4),
    ),
    alignment=AlignmentReport(
        metric="normalized mutual information",
        reason="registered",
        value=1.21,
        peak=None,
        peak_away_mm=None,
        warning="registration accepted beyond the limits: it turns by 50 degrees (limit 45)",
    ),
    metrics={"EN": 5.125, "VIF": 0.625, "Qabf": 0.5, "VIFlocal": 0.375},
    loss=LossReport(a=0.125, b=0.25),
    seconds=15.5,
    peak_memory_gb=0.25,
)
BARE = replace(
    FULL,
    sources=replace(FULL.sources, a=replace(FULL.sources.a, notes=())),
    colormap=None,
    registration=None,
    alignment=None,
    metrics={},
    loss=None,
    refinement=None,
)

# As version 0.4.0 wrote it for the embedded sample (fuse t1.nii.gz pet.nii.gz --task PET-MRI --loss-map).
OF_VERSION_0_4_0: dict[str, Any] = {
    "notice": "Research use only, not for diagnosis.",
    "version": "0.4.0",
    "network": {"runtime": "torch", "precision": "float32"},
    "task": "PET-MRI",
    "grid": {
        "shape": [91, 109, 91],
        "spacing": [2.0, 2.0, 2.0],
        "affine": [[-2.0, 0.0, 0.0, 90.0], [0.0, 2.0, 0.0, -126.0], [0.0, 0.0, 2.0, -72.0], [0.0, 0.0, 0.0, 1.0]],
    },
    "sources": {
        "a": {"modality": "MRI", "unit": "arbitrary", "window": [1.0, 250.0], "notes": []},
        "b": {"modality": "PET", "unit": "arbitrary", "window": [0.0, 233.0], "notes": []},
    },
    "colormap": "hot",
    "registration": None,
    "metrics": {
        "EN": 3.717579842531578,
        "SD": 88.06609504133168,
        "SF": 20.16604582306442,
        "AG": 5.892040110784611,
        "MI": 2.8409011993618023,
        "SCD": 1.5432302490686227,
        "VIF": 0.8310184996413199,
        "Qabf": 0.6879188147291874,
        "ssim": 1.5893995674860757,
        "ssim_legacy": 1.4830498739776505,
        "CC": 0.9674834547444601,
        "PSNR": 20.052380992635733,
        "MS-SSIM": 1.5389591317910414,
        "FMI": 0.4664256862738523,
        "VIFmin": 0.3584232428932653,
        "Qabf_min": 0.6268835138740665,
        "VIFlocal": 0.38489938856865236,
        "background": 0.0,
        "score": 0.5077280485285751,
    },
    "loss": {"a": 0.4697571883551663, "b": 0.4059733730434423},
    "seconds": 1.43,
    "peak_memory_gb": 0.66,
}
# The registration of the sample's CT, as version 0.4.0 wrote it; numbers shortened.
REGISTRATION_OF_VERSION_0_4_0: dict[str, Any] = {
    "metric": "normalized mutual information",
    "kind": "rigid",
    "matrix": [
        [0.999998, -0.0000435, 0.0020559, 0.0028324],
        [0.000049, 0.9999964, -0.0027005, 0.8209335],
        [-0.0020558, 0.0027006, 0.9999942, -0.7735389],
        [0.0, 0.0, 0.0, 1.0],
    ],
    "rotation_deg": [0.1547359, 0.1177874, 0.0028093],
    "translation_mm": [0.02348, 0.7951452, -0.8328645],
    "before": 1.0902113,
    "after": 1.0919618,
    "overlap": 0.9998333,
    "spread_mm": 0.1956951,
    "gain": 0.4775974,
    "seconds": 7.4528265,
}
