"""Finding the two volumes of a study by their headers alone, so that most of what is wrong is said within a second."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..dicom.choose import choose_series, fusable, modality_of, others_of_one_patient, wrong_number
from ..dicom.find import Scan, Series, scan_folder
from ..dicom.read import OpenedSeries, open_series
from ..dicom.structure import structural_one
from ..utils.checks import InputError, in_words
from ..utils.enums import Modality
from ..utils.files import is_nifti
from .nifti import check_nifti, read_nifti_volume
from .tasks import modalities_of
from .volume import Volume

__all__ = [
    "FoundSource",
    "FoundStudy",
    "Study",
    "check_modalities",
    "check_patients",
    "find_study",
    "may_be_fused",
    "settle_modalities",
]

RANK = {Modality.MRI: 0, Modality.CT: 1, Modality.PET: 2, Modality.SPECT: 2}  # source A is the one with the lower rank
Modalities = tuple[Modality | None, Modality | None]


@dataclass(frozen=True)
class Study:
    """The two volumes of one patient.

    Args:
        source_a: structural volume (MRI, or CT beside PET and SPECT): a NIfTI file, a DICOM file or a folder of DICOM.
        source_b: the other one (CT, PET, SPECT or MRI); may be the same folder.
        name: of the output in a batch. Defaults to ``"study"``.
        task: modalities of B and A, such as ``"PET-MRI"``. Defaults to None: what the files say.
        series_a: SeriesInstanceUID or number of A's series in its folder. Defaults to None: chosen by modality.
        series_b: the same for B. Defaults to None.
        volume_a: which volume of a 4-D file or series, see ``choose_volumes``. Defaults to None: the only one.
        volume_b: the same for B. Defaults to None.
        same_patient: whether two ids, names or birth dates are known to be one person's. Defaults to False.
    """

    source_a: str
    source_b: str
    name: str = "study"
    task: str | None = None
    series_a: str | None = None
    series_b: str | None = None
    volume_a: str | None = None
    volume_b: str | None = None
    same_patient: bool = False

    def to_dict(self) -> dict[str, str | bool | None]:
        """Entry of a MONAI data list."""
        return asdict(self)


@dataclass(frozen=True)
class FoundSource:
    """One source whose headers are read.

    Args:
        path: file or folder.
        volume: which volume of several. Defaults to None.
        opened: the series; None for a NIfTI file.
    """

    path: str
    volume: str | None
    opened: OpenedSeries | None

    @property
    def modality(self) -> Modality | None:
        """What the headers say; None where only the values tell, or nothing does."""
        return self.opened.modality if self.opened else None

    def read(self, modality: Modality | None) -> Volume:
        """Read the values.

        Args:
            modality: what the user says that a NIfTI file holds.

        Raises:
            InputError: When they cannot be used.
        """
        return self.opened.read() if self.opened else read_nifti_volume(self.path, modality, self.volume)


@dataclass(frozen=True)
class FoundStudy:
    """Both sources of a study.

    Args:
        a: source A.
        b: source B.
        differs_in: tags in which the patients differ, which ``same_patient`` let pass.
        notes: what is to be said of the pair.
    """

    a: FoundSource
    b: FoundSource
    differs_in: tuple[str, ...]
    notes: tuple[str, ...]


def find_study(study: Study, progress: Callable[[list[Path]], Iterable[Path]] = iter) -> FoundStudy:
    """Find both volumes, and check everything that their headers decide. Headers of a folder are read once.

    Args:
        study: the study.
        progress: wraps the files whose headers are read, such as tqdm. Defaults to nothing.

    Raises:
        InputError: When a source cannot be used, both are one, their modalities do not fit, or their patients differ.
    """
    scans: dict[str, Scan] = {}

    def scan(letter: str, path: str, series: str | None) -> Scan | None:
        if is_nifti(path):
            if series is not None:
                raise InputError(f"{path}: expected DICOM for --series-{letter} {series}, got NIfTI. Leave it out.")
            return None
        place = os.path.realpath(path)
        if place not in scans:
            scans[place] = scan_folder(path, progress)
        return scans[place]

    wanted_a, wanted_b = modalities_of(study.task) if study.task else (None, None)
    scan_a = scan("a", study.source_a, study.series_a)
    scan_b = scan("b", study.source_b, study.series_b)
    series_a = _series_a(scan_a, study.series_a, (wanted_a, wanted_b)) if scan_a else None
    series_b = _series_b(scan_b, study.series_b, wanted_b, series_a) if scan_b else None
    told = (modality_of(series_a) if series_a else None, modality_of(series_b) if series_b else None)
    if series_a and series_b and study.task is None:
        check_modalities(told, settle_modalities(*told))
    elif study.task:
        check_modalities(told, (wanted_a, wanted_b))
    _check_two(study, series_a, series_b)
    differs_in, notes = check_patients(series_a, series_b, study.same_patient)
    if scan_b and series_b and study.series_b is None and not series_b.uncorrected:
        without = sum(series.uncorrected and series.modality == series_b.modality for series in scan_b.series)
        notes += (f"series without correction of the attenuation, not chosen: {without}",) if without else ()
    sources = []
    for path, found, series, volume in (
        (study.source_a, scan_a, series_a, study.volume_a),
        (study.source_b, scan_b, series_b, study.volume_b),
    ):
        if not series or not found:
            check_nifti(path, volume)
        sources.append(FoundSource(path, volume, open_series(series, found, volume) if series and found else None))
    return FoundStudy(sources[0], sources[1], differs_in, notes)


def may_be_fused(a: Modality | None, b: Modality | None) -> bool:
    """Whether a pair makes sense: B is functional, or a CT on an MRI, or both are MRI."""
    if a is None or b is None:
        return False
    return RANK[a] < RANK[b] or a is b is Modality.MRI


def settle_modalities(a: Modality | None, b: Modality | None) -> tuple[Modality, Modality]:
    """Modalities of both sources where no task names them.

    Args:
        a: what source A says; it is an MRI where it says nothing.
        b: what source B says.

    Raises:
        InputError: When B does not say what it is, or A is the functional one.
    """
    if b is None:
        raise InputError("Source B is a file that does not say its modality. Name it, such as --task PET-MRI.")
    a = a or Modality.MRI
    if RANK[a] > RANK[b]:
        raise InputError(f"Expected the {b} as source A, got {a} as A and {b} as B. Swap the two.")
    return a, b


def check_modalities(told: Modalities, wanted: Modalities) -> None:
    """Refuse a source whose file says another modality than the one that is wanted.

    Raises:
        InputError: When it does.
    """
    for name, own, expected in zip("AB", told, wanted, strict=True):
        if own is not None and own is not expected:
            raise InputError(
                f"Source {name}: expected {expected}, the file says {own}. Swap the two, or name the right "
                "modalities with --task OTHER-STRUCTURAL."
            )


def check_patients(a: Series | None, b: Series | None, same_patient: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Refuse series of two patients.

    Args:
        a: series of source A; None for NIfTI, which names no patient.
        b: the same for B.
        same_patient: let them pass.

    Returns:
        The tags that differ, and notes for the report.

    Raises:
        InputError: When tags differ; it names the tags, never their values.
    """
    if a is None or b is None:
        return (), ()
    differs_in = a.identity.differs_in(b.identity)
    if differs_in and not same_patient:
        raise InputError(
            f"Expected two series of one patient, they differ in {in_words(differs_in)}. Choose other series, or, "
            "if both are one person's, say so with --same-patient."
        )
    notes = [f"different in the two sources, said to be one person's: {in_words(differs_in)}"] if differs_in else []
    missing = a.identity.not_compared(b.identity)
    if missing:
        notes.append(f"not compared between the sources, because missing: {in_words(missing)}")
    return differs_in, tuple(notes)


def _series_a(scan: Scan, name: str | None, wanted: Modalities) -> Series:
    """Source A: by name, by modality, or the MRI, else the CT, where the folder has any; of two MRI the structure."""
    modality, tasks = wanted[0], []
    if name is None:
        candidates = fusable(scan)
        if wanted == (Modality.MRI, Modality.MRI):
            candidates = [series for series in candidates if modality_of(series) is Modality.MRI]
        there = {modality_of(series) for series in candidates}
        if modality is None:
            modality = next((one for one in (Modality.MRI, Modality.CT) if one in there), None)
            tasks = _clear_tasks(candidates)
        of_two = structural_one(candidates) if there == {Modality.MRI} and wanted[1] in (None, Modality.MRI) else None
        if of_two is not None:
            return of_two
    return choose_series(scan, modality, name, tasks=tasks)


def _series_b(scan: Scan, name: str | None, wanted: Modality | None, beside: Series | None) -> Series:
    """Source B: by name, by modality, or the only one that can be fused with A, of another modality if there is one.

    Where several could be meant, those of another patient than A's do not count.
    """
    if name is None and wanted is None:
        other = modality_of(beside) if beside else Modality.MRI
        rest = others_of_one_patient(fusable(scan), beside)
        fitting = [series for series in rest if may_be_fused(other, modality_of(series))]
        better = [series for series in fitting if modality_of(series) is not other]
        for candidates in (better, fitting, rest):
            if len(candidates) == 1:
                return candidates[0]
            if candidates:
                of = f" beside series {beside.name} ({beside.modality})" if beside else ""
                by_task = len({candidate.modality for candidate in candidates}) > 1
                tasks = _clear_tasks(fusable(scan))
                raise wrong_number(scan, candidates, f"one series for source B{of}", by_task, tasks)
    return choose_series(scan, wanted, name, beside)


def _clear_tasks(candidates: Sequence[Series]) -> list[str]:
    """Tasks that leave one choice, because there is one series of each of both modalities."""
    count = Counter(map(modality_of, candidates))
    alone = [modality for modality in RANK if count[modality] == 1]
    return [f"{b}-{a}" for a in alone for b in alone if a is not b and may_be_fused(a, b)]


def _check_two(study: Study, a: Series | None, b: Series | None) -> None:
    """Refuse one volume as both sources."""
    if study.volume_a != study.volume_b:
        return
    if a and b and a.uid == b.uid:
        raise InputError(
            "Expected two series, found one and the same for A and B. Is the second one there? Name it with "
            "--series-b, or two volumes of one series with --volume-a and --volume-b."
        )
    paths = (study.source_a, study.source_b)
    if all(map(is_nifti, paths)) and all(map(os.path.isfile, paths)) and os.path.samefile(*paths):
        raise InputError(f"{study.source_b}: expected two volumes, got the same file twice. Give the other one as B.")
