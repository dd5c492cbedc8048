"""What was logged while the server was away comes to it once, and only once."""

from __future__ import annotations

import time
import warnings

import pytest
from mlflow.entities import Metric
from scripts.handlers.tracking_upload import upload_runs

from tests.model.handlers.test_tracking import logged, tracked

HOLDS = (
    "select count(*) from runs where status = 'FINISHED'",
    "select key, step, value from metrics order by key, step",
    "select key, value from params order by key",
)


def held(folder) -> list:
    return [logged(folder, question) for question in HOLDS]


@pytest.fixture(scope="module")
def stores(tmp_path_factory, store_in):
    """A run with two epochs, 1,200 more figures and a file, uploaded twice."""
    folder = tmp_path_factory.mktemp("stores")
    local, server = folder / "local", folder / "server"
    local.mkdir()
    now = int(time.time() * 1000)
    (local / "sheet.png").write_text("a picture")

    def more(handler, engine):
        handler.log_artifact(local / "sheet.png", "examples")
        steps = range(600 * engine.state.epoch, 600 * engine.state.epoch + 600)
        many = [Metric("many", 0.5 * step, now + step, step) for step in steps]
        handler.run.client.log_batch(handler.run.cur_run.info.run_id, metrics=many)

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        tracked(store_in(local), 2, [more], experiment_param={"epochs": 2})
    names = [upload_runs(store_in(local), store_in(server)) for _ in range(2)]
    return local, server, names


def test_the_server_holds_what_the_local_store_holds(stores):
    local, server, names = stores
    assert names == [["training"], ["training"]]
    assert held(server) == held(local)
    assert len(held(server)[1]) == 1202
    assert [path.parent.name for path in (server / "mlruns").rglob("sheet.png")] == ["examples"]


def test_a_run_that_was_begun_on_the_server_is_continued_there(tmp_path, store_in):
    local, server = tmp_path / "local", tmp_path / "server"
    kept = tmp_path / "kept.db"

    def lose_the_server(handler, engine):
        if engine.state.epoch == 2:
            (server / "mlruns.db").rename(kept)
            (server / "mlruns.db").write_bytes(b"no database any more" * 1000)

    with pytest.warns(RuntimeWarning, match="is logged to sqlite"):
        tracked(store_in(server), 3, [lose_the_server], required=False, local_uri=store_in(local))
    kept.replace(server / "mlruns.db")
    upload_runs(store_in(local), store_in(server))
    assert logged(server, HOLDS[0]) == [(1,)]
    assert [step for _, step, _ in logged(server, HOLDS[1])] == [1, 2, 3]
