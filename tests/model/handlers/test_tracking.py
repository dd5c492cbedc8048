from __future__ import annotations

import pytest
from ignite.engine import Engine, Events
from monai.utils import path_to_sqlite_uri
from scripts.handlers.tracking import FusionTrackingHandler


def test_files_are_logged_while_the_run_goes_on(tmp_path):
    uri = path_to_sqlite_uri(str(tmp_path / "mlruns.db"))
    handler = FusionTrackingHandler(tracking_uri=uri, experiment_name="test", close_on_complete=True)
    file = tmp_path / "sheet.png"
    file.write_text("a picture")
    with pytest.raises(ValueError, match="there must be a running MLflow run"):
        handler.log_artifact(file)
    engine = Engine(lambda engine, batch: [{"loss": 1.0}])
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: handler.log_artifact(file, "examples"))
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: handler.log_artifact(file))
    handler.iteration_log = False
    handler.attach(engine)
    engine.run([0], max_epochs=1)
    logged = [path.relative_to(tmp_path / "mlruns").parts[2:] for path in (tmp_path / "mlruns").rglob("sheet.png")]
    assert sorted(logged) == [("examples", "sheet.png"), ("sheet.png",)]
    with pytest.raises(ValueError, match="there must be a running MLflow run"):
        handler.log_artifact(file)
