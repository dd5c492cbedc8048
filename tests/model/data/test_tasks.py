from __future__ import annotations

import pytest
from scripts.data.tasks import PHOTOGRAPHIC_TASKS, modalities_of, task_of
from scripts.losses.fixed import FixedFusionLoss
from scripts.utils.checks import InputError


def test_a_medical_task_names_the_other_modality_first():
    task = task_of("PET-MRI")
    assert [str(kind) for kind in task.sources] == ["MRI", "PET"]
    assert task.folders == ("MRI", "PET")
    assert task.ordered
    assert task.weights == "model"
    assert not task.photographic


def test_which_source_is_which_of_photographs():
    assert task_of("infrared-visible").folders == ("infrared", "visible")
    for name in ("multi-focus", "multi-exposure"):
        assert task_of(name).folders == ("a", "b")
        assert not task_of(name).ordered
    assert len({task.weights for task in PHOTOGRAPHIC_TASKS.values()} | {"model"}) == 4


@pytest.mark.parametrize("name", ["PET", "PET-XRAY", "visible-infrared", "MRI-visible", "", "multi_focus"])
def test_other_names_are_refused_with_those_that_are_known(name):
    with pytest.raises(InputError, match=r"PET-MRI.*multi-focus"):
        task_of(name)


def test_photographs_are_no_modalities_of_a_study():
    with pytest.raises(InputError, match="both of MRI, CT, PET, SPECT"):
        modalities_of("infrared-visible")


@pytest.mark.parametrize("task", PHOTOGRAPHIC_TASKS.values(), ids=lambda task: task.name)
def test_each_task_declares_a_loss_that_exists(task):
    FixedFusionLoss(task.terms, task.anchors, task.preference)
