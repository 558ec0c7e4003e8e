"""What files of predictions are called: a run's own models by their stage, others so that none is overwritten."""

import pytest

from morerl.inference import predict_files
from morerl.tasks import load_tasks


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("{run}/sft/model", "sft"),
        ("{run}/grpo/model", "grpo"),
        ("{run}/sft/checkpoints/checkpoint-40", "sft-checkpoint-40"),
        ("{run}/grpo/checkpoints/checkpoint-40", "grpo-checkpoint-40"),
        ("{run}/tiny", "tiny"),
        ("{run}/../other/grpo/model", "other-grpo"),
        ("runs/other/sft/model", "other-sft"),
        ("Qwen/Qwen2.5-VL-3B-Instruct", "Qwen2.5-VL-3B-Instruct"),
        ("Qwen2.5-1.5B-Instruct", "Qwen2.5-1.5B-Instruct"),
        ("exported/v1.6", "v1.6"),
        ("/model", "model"),
        ("/mine/model", "mine"),
    ],
)
def test_a_model_gives_its_predictions_their_name(make_settings, model, name):
    base = make_settings()
    settings = make_settings(predict={"model": model.format(run=base.run.dir), "split": "dev"})
    (path,) = predict_files(settings, load_tasks(settings)).values()
    assert path == settings.run.dir / "predictions" / f"{name}.dev.jsonl"
