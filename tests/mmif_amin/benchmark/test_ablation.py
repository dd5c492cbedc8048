from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripts.metrics.suite import METRIC_NAMES

from mmif_amin.benchmark.ablation import CONFIGS, VARIANTS, ablation, ablation_table


def means(value: float) -> dict[str, float]:
    return dict.fromkeys((*METRIC_NAMES, "score", "way_closed"), value)


def test_table_shows_what_each_part_earns():
    table = ablation_table({"full": means(0.5), "no Transformer": means(0.4)})
    assert "| full | 0.500 |" in table
    assert "0.400 (-0.100)" in table


def test_every_override_is_a_key_of_the_config():
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(CONFIGS / "train.json"))
    for changes in VARIANTS.values():
        for key in changes:
            if key == "config_file":
                assert (CONFIGS / changes[key]).is_file()
            else:
                assert key.split("#")[0] in parser.get()


def test_finished_variants_are_not_trained_again(tmp_path, monkeypatch):
    trained = []

    def train(command, check):
        folder = Path(command[command.index("--output_dir") + 1])
        trained.append(folder.name.replace("_", " "))
        if len(trained) == 3:
            raise KeyboardInterrupt
        folder.mkdir(parents=True)
        (folder / "best.json").write_text(json.dumps({"metrics": means(0.1 * len(trained))}))
        (folder / "way_closed.json").write_text(json.dumps({"CT-MRI": 0.2, "PET-MRI": 0.6}))

    monkeypatch.setattr("mmif_amin.benchmark.ablation.subprocess.run", train)
    with pytest.raises(KeyboardInterrupt):
        ablation("data", tmp_path, epochs=1)
    assert len((tmp_path / "ablation.md").read_text().splitlines()) == 4
    results = ablation("data", tmp_path, epochs=1)
    assert trained == [*list(VARIANTS)[:3], *list(VARIANTS)[2:]]
    assert list(results) == list(VARIANTS)
    assert results["full"]["VIF"] == pytest.approx(0.1)
    assert results["full"]["way_closed"] == pytest.approx(0.4)
