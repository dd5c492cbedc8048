"""Tracking in MLflow: what is logged, and what happens when the store does not answer or fails later."""

from __future__ import annotations

import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from ignite.engine import Engine, Events
from scripts.handlers.tracking import SERVER_RUN, FusionTrackingHandler
from scripts.utils.checks import InputError


def tracked(uri: str, epochs: int = 1, each_epoch=(), **options) -> FusionTrackingHandler:
    """Run an engine that logs ``number``, its iteration."""
    handler = FusionTrackingHandler(uri, experiment_name="test", run_name="training", iteration_log=False, **options)
    engine = Engine(lambda engine, batch: engine.state.metrics.update(number=engine.state.iteration))
    engine.logger.setLevel("CRITICAL")
    for function in each_epoch:
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda e, function=function: function(handler, e))
    handler.attach(engine)
    engine.run([0], max_epochs=epochs)
    return handler


def logged(folder: Path, question: str) -> list[tuple]:
    with closing(sqlite3.connect(folder / "mlruns.db")) as store:
        return store.execute(question).fetchall()


def test_files_and_figures_are_logged_while_the_run_goes_on(tmp_path, store_in):
    file = tmp_path / "sheet.png"
    file.write_text("a picture")
    steps = [lambda handler, _: handler.log_artifact(file, "examples"), lambda handler, _: handler.log_artifact(file)]
    handler = tracked(store_in(tmp_path), 2, steps, experiment_param={"epochs": 2})
    files = [path.relative_to(tmp_path / "mlruns").parts[2:] for path in (tmp_path / "mlruns").rglob("sheet.png")]
    assert sorted(files) == [("examples", "sheet.png"), ("sheet.png",)]
    assert logged(tmp_path, "select step, value from metrics order by step") == [(1, 1.0), (2, 2.0)]
    assert logged(tmp_path, "select status from runs") == [("FINISHED",)]
    with pytest.raises(ValueError, match="there must be a running MLflow run"):
        handler.log_artifact(file)


def test_a_run_goes_on_with_other_parameters(tmp_path, store_in):
    """Those of its start stay: MLflow refuses to change them, and a training must not end for it."""

    def fail(handler, engine):
        raise KeyError("interrupted")

    with pytest.raises(KeyError):
        tracked(store_in(tmp_path), 1, [fail], experiment_param={"epochs": 1})
    tracked(store_in(tmp_path), 2, experiment_param={"epochs": 2})
    assert logged(tmp_path, "select status from runs") == [("FINISHED",)]
    assert ("epochs", "1") in logged(tmp_path, "select key, value from params")


@pytest.fixture
def silent_server():
    """A server that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def dead_server():
    """The address of a server that has gone."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
    return address


@pytest.mark.parametrize("kind", ["silent_server", "dead_server"])
def test_a_server_that_does_not_answer_ends_the_run_soon(request, kind):
    uri, began = request.getfixturevalue(kind), time.monotonic()
    with pytest.raises(
        InputError, match=f"expected an MLflow store that works, got {uri}: .*--tracking-required False"
    ):
        tracked(uri, seconds=1)
    assert time.monotonic() - began < 10


def test_a_name_that_cannot_be_looked_up_ends_the_run_soon():
    began = time.monotonic()
    with pytest.raises(InputError, match="expected an MLflow store that works"):
        tracked("http://no-such-host.invalid:5000", seconds=1)
    assert time.monotonic() - began < 10


def test_without_its_server_a_run_is_logged_locally(tmp_path, dead_server, store_in):
    with pytest.warns(RuntimeWarning, match=f"got {dead_server}.*is logged to sqlite.* `mmif-amin upload` brings it"):
        tracked(dead_server, 2, required=False, local_uri=store_in(tmp_path), seconds=1)
    assert logged(tmp_path, "select step from metrics order by step") == [(1,), (2,)]


def break_store(folder: Path) -> None:
    """What a store is like whose disk has failed."""
    (folder / "mlruns.db").write_bytes(b"no database any more" * 1000)


def test_a_store_that_fails_on_the_way_is_left_for_the_local_one(tmp_path, store_in):
    server, local = tmp_path / "server", tmp_path / "local"
    number = []

    def fail_after_the_first(handler, engine):
        if engine.state.epoch == 2:
            number.extend(logged(server, "select run_uuid from runs"))
            break_store(server)

    with pytest.warns(RuntimeWarning, match="is logged to sqlite"):
        tracked(store_in(server), 3, [fail_after_the_first], required=False, local_uri=store_in(local))
    assert logged(local, "select step from metrics order by step") == [(2,), (3,)]
    assert (SERVER_RUN, *number[0]) in logged(local, "select key, value from tags")


def test_a_store_that_is_required_ends_the_run_on_the_way(tmp_path, store_in):
    with pytest.raises(InputError, match="Mend it and start the same command again"):
        tracked(store_in(tmp_path), 3, [lambda handler, engine: break_store(tmp_path)])


def test_when_the_local_store_fails_too_the_run_goes_on(tmp_path, store_in):
    break_store(tmp_path)
    with pytest.warns(RuntimeWarning, match="Nothing more is logged"):
        tracked(store_in(tmp_path), 2, required=False, local_uri=store_in(tmp_path))


def test_the_environments_store_goes_first_and_does_not_hide_the_local_one(
    tmp_path, monkeypatch, dead_server, store_in
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", dead_server)
    with pytest.warns(RuntimeWarning, match=f"got {dead_server}"):
        tracked(store_in(tmp_path / "b"), required=False, local_uri=store_in(tmp_path / "a"), seconds=1)
    assert logged(tmp_path / "a", "select step from metrics") == [(1,)]
    assert logged(tmp_path / "b", "select step from metrics") == []


def test_a_clock_that_is_set_back_loses_nothing(tmp_path, monkeypatch, store_in):
    """By a year, between two epochs, as a machine does whose battery was empty."""
    real = time.time

    def set_back(handler, engine):
        monkeypatch.setattr(time, "time", lambda: real() - 365 * 86400 * engine.state.epoch)

    tracked(store_in(tmp_path), 3, [set_back])
    assert logged(tmp_path, "select step, value from metrics order by step") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert logged(tmp_path, "select status from runs") == [("FINISHED",)]
