"""BIDS: which images make a pair, and a derivatives folder that the BIDS validator accepts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pytest
from mmif_amin.scripts.data.study import Study
from mmif_amin.scripts.utils.checks import InputError

from mmif_amin.batch.bids import PLACES, BidsDerivative, find_bids_studies, is_bids, parse_places
from mmif_amin.batch.table import read_table
from mmif_amin.cli import main
from mmif_amin.exit_codes import SOME_FAILED
from tests.mmif_amin.batch.test_run import write_pair

RAW = {"Name": "made up", "BIDSVersion": "1.9.0", "Authors": ["Nobody"]}


def data_set(root, *names):
    """A data set with empty files of these names."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    root.mkdir(exist_ok=True)
    (root / "dataset_description.json").write_text(json.dumps(RAW))
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            ["sub-01/anat/sub-01_T1w.nii.gz", "sub-01/pet/sub-01_pet.nii.gz"],
            [("sub-01_desc-fusedPET_T1w", "sub-01/anat/sub-01_T1w.nii.gz", "sub-01/pet/sub-01_pet.nii.gz")],
            id="no sessions",
        ),
        pytest.param(
            ["sub-01/ses-mr/anat/sub-01_ses-mr_T1w.nii.gz", "sub-01/ses-b/pet/sub-01_ses-b_trc-FDG_pet.nii"],
            [
                (
                    "sub-01_ses-mr_desc-fusedPETsesbtrcFDG_T1w",
                    "sub-01/ses-mr/anat/sub-01_ses-mr_T1w.nii.gz",
                    "sub-01/ses-b/pet/sub-01_ses-b_trc-FDG_pet.nii",
                )
            ],
            id="other session",
        ),
        pytest.param(
            [
                *(f"sub-01/ses-{k}/anat/sub-01_ses-{k}_T1w.nii.gz" for k in "ab"),
                *(f"sub-01/ses-{k}/pet/sub-01_ses-{k}_pet.nii.gz" for k in "ab"),
            ],
            [
                (
                    f"sub-01_ses-{k}_desc-fusedPET_T1w",
                    f"sub-01/ses-{k}/anat/sub-01_ses-{k}_T1w.nii.gz",
                    f"sub-01/ses-{k}/pet/sub-01_ses-{k}_pet.nii.gz",
                )
                for k in "ab"
            ],
            id="each session its own",
        ),
    ],
)
def test_pairs(tmp_path, files, expected):
    root = data_set(tmp_path, *files)
    assert is_bids(root)
    found = find_bids_studies(root, PLACES)
    assert found == [Study(str(root / a), str(root / b), name, "PET-MRI") for name, a, b in expected]


def test_ct_by_a_mapping(tmp_path):
    root = data_set(tmp_path, "sub-01/anat/sub-01_T2w.nii.gz", "sub-01/ct/sub-01_ct.nii.gz")
    (study,) = find_bids_studies(root, parse_places(["CT=ct/*_ct.nii.gz", "MRI=anat/*_T2w.nii.gz"]))
    assert (study.name, study.task) == ("sub-01_desc-fusedCT_T2w", "CT-MRI")


@pytest.mark.filterwarnings("error::DeprecationWarning")
def test_images_without_an_mri_and_with_several_are_told(tmp_path):
    root = data_set(
        tmp_path,
        "sub-01/pet/sub-01_pet.nii.gz",
        *(f"sub-02/anat/sub-02_run-{k}_T1w.nii.gz" for k in (1, 2)),
        "sub-02/pet/sub-02_pet.nii.gz",
    )
    with pytest.warns(UserWarning, match="images have") as told:
        (study,) = find_bids_studies(root, PLACES)
    assert study.source_a.endswith("sub-02_run-1_T1w.nii.gz")
    assert ["sub-01_pet.nii.gz" in str(w.message) or "sub-02_pet.nii.gz" in str(w.message) for w in told] == [
        True,
        True,
    ]


def test_two_images_of_one_name(tmp_path):
    root = data_set(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz", *(f"sub-01/pet/sub-01_pet.nii{z}" for z in ("", ".gz")))
    with pytest.raises(InputError, match="expected images whose names differ, .* would get one name"):
        find_bids_studies(root, PLACES)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        pytest.param("CT", "--bids CT: expected MODALITY=PATTERN", id="no pattern"),
        pytest.param("XRAY=x/*.nii", "--bids XRAY=x/*.nii: expected MODALITY=PATTERN with one of MRI", id="modality"),
        pytest.param("infrared=i/*.nii", "with one of MRI, CT, PET, SPECT and a pattern", id="photograph"),
        pytest.param("CT=.", "--bids CT=.: expected MODALITY=PATTERN", id="the folder itself"),
        pytest.param("CT=/ct/*.nii", "expected MODALITY=PATTERN", id="absolute"),
        pytest.param("CT=../*.nii", "expected MODALITY=PATTERN", id="outside"),
    ],
)
def test_bad_places(word, message):
    with pytest.raises(InputError, match=re.escape(message)):
        parse_places([word])


def test_a_modality_is_named_once():
    with pytest.raises(InputError, match=r"--bids CT=b/\*: expected each modality once, CT is a/\* already"):
        parse_places(["CT=a/*", "CT=b/*"])


def test_a_place_of_the_user_where_nothing_is(tmp_path):
    root = data_set(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz", "sub-01/ses-1/pet/sub-01_ses-1_pet.nii.gz")
    with pytest.warns(UserWarning, match=r"--bids CT=ct/\*: no subject or session has a file there") as told:
        (study,) = find_bids_studies(root, parse_places(["CT=ct/*", "PET=pet/*_pet.nii.gz"]))
    assert len(told) == 1
    assert study.name == "sub-01_desc-fusedPETses1_T1w", "an MRI beside the sessions serves all of them"


def test_no_pair(tmp_path):
    with pytest.raises(InputError, match="expected an MRI and another image of one subject"):
        find_bids_studies(data_set(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz"), PLACES)


def test_places_of_a_folder_that_is_not_bids(tmp_path, capsys):
    write_pair(tmp_path / "studies" / "one", (32, 32, 6))
    assert main(["batch", str(tmp_path / "studies"), "-o", str(tmp_path / "o"), "--bids", "CT=ct/*"]) == 2
    assert "--bids: is for a BIDS data set" in capsys.readouterr().err


@pytest.mark.parametrize("text", ['{"Name": "x"}', '{"GeneratedBy": [{"Name": "fMRIPrep"}]}', "{", "[1]"])
def test_a_foreign_data_set_is_not_written_into(tmp_path, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "dataset_description.json").write_text(text)
    with pytest.raises(InputError, match="expected a new folder or one that mmif-amin made"):
        BidsDerivative(tmp_path / "raw", tmp_path / "out")
    assert (tmp_path / "out" / "dataset_description.json").read_text() == text


@pytest.fixture(scope="module")
def fused(tmp_path_factory):
    """A small data set of two subjects, fused; the data set and its derivatives."""
    place = tmp_path_factory.mktemp("bids")
    root = data_set(place / "raw")
    (root / "README").write_text("A made-up data set for a test. " * 10)
    for subject in ("sub-01", "sub-02"):
        pair = write_pair(place / subject, (32, 32, 6))
        for source, name in ((pair.source_a, "anat/{}_ses-x_T1w"), (pair.source_b, "pet/{}_ses-x_trc-FDG_pet")):
            target = root / subject / "ses-x" / (name.format(subject) + ".nii.gz")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source)  # as git-annex keeps its files
    output = root / "derivatives" / "mmif-amin"
    assert main(["batch", str(root), "-o", str(output), "--register", "none"]) == 0
    return root, output


def test_derivatives(fused):
    root, output = fused
    stem = "sub-01_ses-x_desc-fusedPETtrcFDG"
    image = output / "sub-01" / "ses-x" / "anat" / f"{stem}_T1w.nii.gz"
    study = output / "studies" / f"{stem}_T1w"
    assert np.array_equal(nibabel.load(image).get_fdata(), nibabel.load(study / "fused.nii.gz").get_fdata())
    assert image.with_name(f"{stem}color_T1w.nii.gz").is_file()
    sidecar = json.loads(image.with_name(f"{stem}_T1w.json").read_text())
    links = json.loads((output / "dataset_description.json").read_text())["DatasetLinks"]
    for source in sidecar["Sources"]:
        assert (output / source.replace("bids:raw:", f"{links['raw']}/")).is_file()
    assert (output / "studies" / "batch.csv").read_text().count("fused") == 4  # two statuses, two names
    before = image.stat().st_mtime_ns
    assert main(["batch", str(root), "-o", str(output), "--register", "none"]) == 0
    assert image.stat().st_mtime_ns == before


def test_a_dynamic_pet_and_a_file_that_is_not_fetched(tmp_path):
    """PET in BIDS has several frames as a rule; DataLad leaves links to files that are elsewhere."""
    root = data_set(tmp_path / "raw", "sub-01/anat/x", "sub-02/anat/x", "sub-02/pet/sub-02_pet.nii.gz")
    pair = write_pair(tmp_path / "pair", (32, 32, 6))
    shutil.copy(pair.source_a, root / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    frames = np.stack([nibabel.load(pair.source_b).get_fdata(dtype=np.float32)] * 3, axis=-1)
    (root / "sub-01" / "pet").mkdir()
    nibabel.save(nibabel.Nifti1Image(frames, np.eye(4)), root / "sub-01" / "pet" / "sub-01_pet.nii.gz")
    (root / "sub-02" / "anat" / "sub-02_T1w.nii.gz").symlink_to("../../.git/annex/none.nii.gz")
    words = ["batch", str(root), "-o", str(tmp_path / "out"), "--register", "none"]
    assert main(words) == SOME_FAILED
    rows = read_table(tmp_path / "out" / "studies" / "batch.csv")
    assert "Choose with --volume-a or --volume-b" in rows[0].error
    assert "found a link to one that is not there. Fetch it" in rows[1].error
    assert main([*words, "--volume-b", "mean"]) == SOME_FAILED
    assert (tmp_path / "out" / "sub-01" / "anat" / "sub-01_desc-fusedPET_T1w.nii.gz").is_file()


def node_tool(name):
    found = shutil.which(name)
    if not found:
        pytest.skip(
            f"{name} is not installed: npm install bids-validator@1.15.0 deno, and put node_modules/.bin on PATH"
        )
    return Path(found)


@pytest.mark.slow
def test_the_validator_accepts_the_data_set_with_its_derivatives(fused, tmp_path):
    """The command of the npm package; it checks the data set, and passes over folders of derivatives."""
    root = shutil.copytree(fused[0], tmp_path / "raw")
    shutil.rmtree(root / "sub-01" / "ses-x" / "pet")  # made-up PET has no sidecar with tracer and scanner
    shutil.rmtree(root / "sub-02" / "ses-x" / "pet")
    result = subprocess.run([node_tool("bids-validator"), root, "--json"], capture_output=True, text=True, check=False)
    assert json.loads(result.stdout)["issues"]["errors"] == [], result.stdout
    assert result.returncode == 0


@pytest.mark.slow
def test_the_validator_accepts_the_derivatives(fused, tmp_path):
    """The schema's validator, in the same npm package; it knows derivatives, and needs Deno."""
    output = shutil.copytree(fused[1], tmp_path / "mmif-amin")
    program = node_tool("bids-validator").resolve().parents[1] / "dist" / "validator" / "bids-validator.js"
    command = [node_tool("deno"), "run", "--allow-all", program, output, "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    issues = json.loads(result.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert result.returncode == 0, result.stderr
    (output / "sub-01" / "ses-x" / "anat" / "odd.nii.gz").touch()  # so the validator does look
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
