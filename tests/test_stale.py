"""What was made before something it hangs on changed is not taken for whole."""

import shutil

import pytest

from morerl.errors import ConfigError
from morerl.guidelines import guideline_file
from morerl.inference import run_rate
from morerl.jsonl import read_records
from morerl.runs import begin
from morerl.schema import Rated
from morerl.tasks import load_tasks


@pytest.fixture
def settings(make_settings, narrow_model, tmp_path):
    """A rating of two samples under a guideline of one's own."""
    mine = tmp_path / "mine.yaml"
    shutil.copy(guideline_file("more"), mine)
    data = make_settings().data.model_dump(exclude_none=True) | {"guidelines": str(mine), "max_prompt_tokens": 4000}
    return make_settings(data=data, rate={"model": str(narrow_model), "taught": True, "limit": 2})


def test_ratings_that_were_lost_are_made_again(settings):
    out = settings.run.dir / "rated.jsonl"
    assert run_rate(settings)["rated"] == 2
    out.unlink()
    assert run_rate(settings)["rated"] == 2 and len(list(read_records(out, Rated))) == 2


def test_a_guideline_that_was_edited_is_named_and_its_path_may_be_spelt_otherwise(settings, tmp_path, monkeypatch):
    run_rate(settings)
    monkeypatch.chdir(tmp_path)
    same = settings.model_copy(update={"data": settings.data.model_copy(update={"guidelines": "mine.yaml"})})
    assert run_rate(same)["rated"] == 2
    mine = tmp_path / "mine.yaml"
    mine.write_text(mine.read_text().replace("definition: ", "definition: in short, ", 1))
    with pytest.raises(ConfigError, match=r"mine\.yaml: "):
        run_rate(settings)


def test_every_trained_stage_hangs_on_its_guidelines(settings):
    tasks = load_tasks(settings)
    assert tasks.guidelines() == [guideline_file(settings.data.guidelines)]
    for stage in ("sft", "grpo"):
        assert begin(settings, stage, tasks.guidelines()) is None
