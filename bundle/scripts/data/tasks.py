"""The fusion tasks: which image is which source, whether order matters, which weights and which loss they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ..utils.checks import InputError
from ..utils.enums import FusionRule, Modality, Preference

__all__ = ["MEDICAL", "MEDICAL_WEIGHTS", "PHOTOGRAPHIC_TASKS", "FusionTask", "modalities_of", "task_of"]

MEDICAL_WEIGHTS = "model"  # name of the weights of all medical tasks
MEDICAL = (Modality.MRI, Modality.CT, Modality.PET, Modality.SPECT)


@dataclass(frozen=True)
class FusionTask:
    """One fusion task.

    Args:
        name: as in data lists and in ``--task``.
        source_a: kind of source A, the structural image.
        source_b: kind of source B, whose colors the fused image has.
        ordered: whether it matters which image is source A. Defaults to True.
        weights: name of the files with its weights in ``models``, without their suffix. Defaults to ``"model"``.
        rule: how its network puts the fused image together. Defaults to ``"correction"``.
        preference: which source its loss wants at each place. Defaults to ``"brighter"``.
        terms: names of its loss's terms. Defaults to None: all declared ones.
        anchors: weights of loss terms that differ from the declared ones. Defaults to none.
    """

    name: str
    source_a: Modality
    source_b: Modality
    ordered: bool = True
    weights: str = MEDICAL_WEIGHTS
    rule: FusionRule = FusionRule.CORRECTION
    preference: Preference = Preference.BRIGHTER
    terms: Sequence[str] | None = None
    anchors: Mapping[str, float] = field(default_factory=dict)

    @property
    def sources(self) -> tuple[Modality, Modality]:
        """Kinds of source A and source B."""
        return self.source_a, self.source_b

    @property
    def folders(self) -> tuple[str, str]:
        """Names of the folders of both sources in a data set: their kinds, or ``a`` and ``b`` for two of one kind."""
        return ("a", "b") if self.source_a is self.source_b is Modality.PHOTOGRAPH else (self.source_a, self.source_b)

    @property
    def photographic(self) -> bool:
        """Whether the sources are photographs, not medical images."""
        return self.name in PHOTOGRAPHIC_TASKS


PHOTOGRAPHIC_TASKS: Mapping[str, FusionTask] = MappingProxyType(
    {
        task.name: task
        for task in (
            FusionTask(
                "infrared-visible",
                Modality.INFRARED,
                Modality.VISIBLE,
                weights="infrared_visible",
                anchors={
                    "local": 3.0,
                    "similarity": 12.0,
                    "transfer": 16.0,
                    "sharpness": 4.0,
                    "contrast": 5.0,
                    "intensity": 6.0,
                    "entropy": 5.0,
                },
            ),
            FusionTask(
                "multi-focus",
                Modality.PHOTOGRAPH,
                Modality.PHOTOGRAPH,
                ordered=False,
                weights="multi_focus",
                rule=FusionRule.BLEND,
                preference=Preference.SHARPER,
                terms=("structure_a", "structure_b", "edges", "similarity", "intensity"),
                anchors={"similarity": 2.0, "intensity": 8.0},
            ),
            FusionTask(
                "multi-exposure",
                Modality.PHOTOGRAPH,
                Modality.PHOTOGRAPH,
                ordered=False,
                weights="multi_exposure",
                rule=FusionRule.BLEND,
                preference=Preference.BETTER_EXPOSED,
                anchors={
                    "structure_a": 6.0,
                    "structure_b": 6.0,
                    "local": 3.0,
                    "edges": 16.0,
                    "similarity": 8.0,
                    "sharpness": 1.0,
                    "contrast": 2.0,
                    "entropy": 4.0,
                },
            ),
        )
    }
)


def task_of(name: str) -> FusionTask:
    """Return a task by its name: a photographic one, or two medical modalities such as ``"PET-MRI"``.

    Raises:
        InputError: When the name is neither.

    Example:
        >>> task_of("multi-focus").ordered, str(task_of("PET-MRI").source_a)
        (False, 'MRI')
    """
    if name in PHOTOGRAPHIC_TASKS:
        return PHOTOGRAPHIC_TASKS[name]
    return FusionTask(name, *modalities_of(name))


def modalities_of(task: str) -> tuple[Modality, Modality]:
    """Modalities of source A (structural) and source B of a medical task such as ``"PET-MRI"``.

    Raises:
        InputError: When the task does not name two medical modalities.
    """
    try:
        other, structural = (Modality(part.upper()) for part in task.split("-"))
    except ValueError:
        known = ", ".join(MEDICAL)
        raise InputError(
            f"Task '{task}': expected OTHER-STRUCTURAL, both of {known}, such as PET-MRI; or, for photographs, "
            f"{', '.join(PHOTOGRAPHIC_TASKS)}. Rename the folder or the entry."
        ) from None
    return structural, other
