"""Weights files of others: none of them runs a program, whatever its format says."""

from __future__ import annotations

import io
import os
import pickle
import re
import zipfile

import pytest
import torch
from scripts.inferers import script_program
from scripts.inferers.contract import SHIPPED
from scripts.inferers.script_program import checked_script
from scripts.utils.checks import InputError
from scripts.utils.enums import Runtime

from mmif_amin.fuser import load

SCRIPT = SHIPPED[Runtime.TORCHSCRIPT]
RUNS = "calls save, which could change files. Do not use this file"


class Runs:
    """Unpickling it makes a folder."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


def as_state(path):
    torch.save({"weight": Runs()}, path)


def as_old_state(path):
    torch.save({"weight": Runs()}, path, _use_new_zipfile_serialization=False)


def as_pickle(path):
    path.write_bytes(pickle.dumps(Runs()))


def as_attribute(path):
    """In a whole archive of weights, beside the tensors."""
    torch.save({**torch.load(SHIPPED[Runtime.TORCH], weights_only=True), "further": Runs()}, path)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder: whatever runs by mistake leaves its traces there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*holds no SHA-256")
@pytest.mark.parametrize("runtime", ["auto", "torch", "torchscript"])
@pytest.mark.parametrize("write", [as_state, as_old_state, as_pickle, as_attribute])
def test_a_pickle_that_runs_code_is_refused(here, write, runtime):
    write(here / "weights.pt")
    with pytest.raises(InputError, match=r"weights\.pt: expected"):
        load(here / "weights.pt", runtime=runtime)
    assert [path.name for path in here.iterdir()] == ["weights.pt"]


class Writes(torch.nn.Module):
    """A network that also writes a file."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        torch.save(image, "ran")
        return image[:, :1]


class WritesWhenLoaded(torch.nn.Module):
    """A network that writes a file while it is loaded."""

    def __init__(self):
        super().__init__()
        self.number = 1

    @torch.jit.export
    def __getstate__(self) -> tuple[int, bool]:
        return self.number, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[int, bool]) -> None:
        self.number, self.training = state
        torch.save(state[0], "ran")

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image[:, :1]


def script(module):
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(module), buffer)
    return buffer.getvalue()


def packed(records):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in records:
            archive.writestr(name, content)
    return buffer.getvalue()


def records_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


@pytest.mark.filterwarnings("ignore:.*holds no SHA-256")
@pytest.mark.parametrize("module", [Writes, WritesWhenLoaded])
@pytest.mark.parametrize("name", ["weights.ts", "weights.pt"])
def test_torchscript_that_writes_files_is_refused(here, module, name):
    """PyTorch alone would load and run it: TorchScript has operators that write files."""
    data = script(module())
    (here / name).write_bytes(data)
    with pytest.raises(InputError, match=RUNS):
        load(here / name, runtime="torchscript")
    assert [path.name for path in here.iterdir()] == [name]
    network = torch.jit.load(io.BytesIO(data))
    network(torch.zeros(1, 2, 16, 16))
    assert (here / "ran").is_file(), "otherwise this test shows nothing"


def test_no_spelling_hides_an_operator(here):
    """Of each spelling that the archive's reader or the language allows; each of them runs in PyTorch alone."""
    records = records_of(script(Writes()))
    code = next(name for name, content in records if b"torch.save" in content)

    def rewritten(change, name=code):
        return packed([(name if n == code else n, change(c) if n == code else c) for n, c in records])

    for data in (
        rewritten(lambda text: text.replace(b"torch.save(", b"torch . save (")),
        rewritten(lambda text: text.replace(b"torch.save(", b"ops.aten.save(")),
        rewritten(lambda text: text, code.replace(".py", ".PY")),
        b"something before" + rewritten(lambda text: text),
    ):
        with pytest.raises(InputError, match=RUNS):
            checked_script(here / "weights.ts", data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"noise", "got: File is not a zip file", id="noise"),
        pytest.param(packed([("a/code/x.py", b""), ("a/code/X.py", b"")]), "holds a name twice", id="twice"),
    ],
)
def test_a_damaged_archive_is_named(here, data, message):
    with pytest.raises(InputError, match=f"weights.ts: expected TorchScript .*{message}"):
        checked_script(here / "weights.ts", data)


def test_an_archive_that_unpacks_to_more_than_memory_is_refused_before(here, monkeypatch):
    monkeypatch.setattr(script_program, "LARGEST", 2**20)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data/0", bytes(2**20 + 1))
    with pytest.raises(InputError, match="unpacks to more than 1 MB"):
        checked_script(here / "weights.ts", buffer.getvalue())


def test_the_shipped_program_passes(here):
    network = torch.jit.load(checked_script(SCRIPT, SCRIPT.read_bytes()))
    image = torch.rand(1, 2, 32, 24)
    assert torch.equal(network(image), torch.jit.load(SCRIPT)(image))


@pytest.mark.filterwarnings("ignore:.*holds no SHA-256")
def test_onnx_takes_no_file_from_elsewhere(here):
    """ONNX may keep its numbers in a file beside it; that file cannot be any file of the machine."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra 'onnx')")
    helper = onnx.helper
    secret = here / "secret"
    secret.write_bytes(bytes(range(64)) * 16)
    (here / "in").mkdir()
    for location in ("../secret", str(secret)):
        number = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[1, 1, 16, 16])
        number.data_location = onnx.TensorProto.EXTERNAL
        number.external_data.add(key="location", value=location)
        infos = [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, channels, 16, 16])
            for name, channels in (("image", 2), ("pred", 1))
        ]
        node = helper.make_node("Identity", ["w"], ["pred"])
        model = helper.make_model(
            helper.make_graph([node], "g", infos[:1], infos[1:], [number]),
            opset_imports=[helper.make_opsetid("", 20)],
            ir_version=10,
        )
        (here / "in" / "weights.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(InputError, match=re.escape("weights.onnx: expected a network that mmif-amin export wrote")):
            load(here / "in" / "weights.onnx")
