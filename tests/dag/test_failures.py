"""Failures of a run: bad input gives one clear line, a bad outcome is a result, and nothing is lost."""

import pytest

from steadytune.cells.record import read_record

CELL = "results/mini/cells/mini/vanilla/mini-rte/seed-0/record.json"


def test_suite_typo_error_names_the_file_and_the_closest_key(project):
    project.edit("config/mini.yaml", lambda value: value.update(protocl={}))
    done = project.snakemake("--dry-run")
    assert done.returncode != 0
    assert "config/mini.yaml: unknown key 'protocl' (did you mean 'protocol'?)" in done.stdout


def test_unknown_method_or_seed_error_suggests_valid_ones(project):
    done = project.snakemake("--dry-run", "--", CELL.replace("vanilla", "hype-m"))
    assert done.returncode != 0
    assert "unknown method 'hype-m' (did you mean 'hype-n'?)" in done.stdout
    done = project.snakemake("--dry-run", "--", CELL.replace("seed-0", "seed-7"))
    assert "seed 7 is not among its seeds [0, 1]" in done.stdout


def test_settings_in_snakemakes_config_option_are_refused(project):
    done = project.snakemake("--dry-run", "--config", "epochs=3")
    assert done.returncode != 0
    assert "--config epochs=…" in done.stdout


def test_missing_store_error_names_the_path_and_its_settings(project):
    done = project.run("steadytune", "stage", "real-small", STEADYTUNE_STORE="nowhere")
    assert done.returncode == 2
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("steadytune:")]
    assert "nowhere" in line
    assert "sources.local" in line
    assert "STEADYTUNE_STORE" in line


@pytest.mark.long
def test_corrupted_data_stops_the_cell_and_a_run_stages_them_again(project):
    file = project.folder / "store/datasets/steadytune/mini/rte/train-00000-of-00001.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    done = project.run("steadytune", "finetune", "mini", "mini/vanilla/mini-rte/seed-0")
    assert done.returncode != 0
    (line,) = [line for line in done.stdout.splitlines() if "corrupted" in line]
    assert f"{file.relative_to(project.folder)}: corrupted: SHA-256" in line
    assert not (project.folder / CELL).exists()
    done = project.run("steadytune", "run", "mini", "--", CELL)
    assert done.returncode == 0, done.stdout[-3000:]
    assert bytes(content) != file.read_bytes()
    assert (project.folder / CELL).exists()


def test_non_finite_loss_is_recorded_as_diverged(project):
    project.edit("config/mini.yaml", lambda value: value["protocol"].update(learning_rate=1e30))
    done = project.snakemake("--", CELL)
    assert done.returncode == 0, done.stdout
    record = read_record(project.folder / CELL)
    assert record.status == "diverged"
    assert "not finite" in record.reason
    assert record.evaluations == []


@pytest.mark.long
def test_truncated_record_counts_as_missing_until_a_run_retrains_it(project):
    grid = [{"encoders": ["mini"], "methods": ["vanilla"], "tasks": ["mini-rte"], "seeds": 2}]
    project.edit("config/mini.yaml", lambda value: value.update(grid=grid))
    assert project.snakemake().returncode == 0
    before, record = project.tables(), project.folder / CELL
    record.write_text(record.read_text()[:200])
    assert project.snakemake().returncode == 0
    main = (project.results / "tables" / "main.md").read_text()
    assert "1/2" in main, "the tables do not say that a planned seed is missing"
    done = project.run("steadytune", "run", "mini")
    assert done.returncode == 0, done.stdout
    assert record.with_name("record.json.quarantined").exists()
    assert read_record(record).status == "ok"
    assert project.tables() == before
