"""Small real things that several test files need: a drawn world, its samples, a narrow Qwen2.5-VL."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
from hypothesis import settings as hypothesis_settings

from benchmarks.chromium import Chromium
from morerl.corpora import more
from morerl.jsonl import write_records
from morerl.scenes.release import write_release
from morerl.schema import Gold, Mention, Sample
from morerl.settings import Settings, TinySettings

# a deadline would time the machine and not the code
hypothesis_settings.register_profile("here", deadline=None)
hypothesis_settings.load_profile("here")


def pytest_collection_modifyitems(items):
    """Files with slow tests first, so that processes that share the files out end together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


SCENES_TEACHER = {
    "strategy": "stepwise",
    "endpoint": "scenes",
    "retries": 0,
    "gates": {"min_words": 0, "repeats": None},
}

NARROW = {
    "vocab_size": 640,
    "hidden_size": 32,
    "layers": 2,
    "heads": 2,
    "intermediate_size": 64,
    "vision_hidden_size": 32,
    "vision_layers": 1,
}


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Headless Chromium, started once; for tests that are skipped where chromium.CHROMIUM is None."""
    one = Chromium(tmp_path_factory.mktemp("chromium") / "profile")
    yield one
    one.close()


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """A folder with raw/ (MORE's format) and data/ (samples), drawn once."""
    root = tmp_path_factory.mktemp("world")
    write_release(root / "raw", scenes={"train": 24, "dev": 3, "test": 3}, seed=0)
    for split in ("train", "dev", "test"):
        write_records(root / "data" / f"{split}.jsonl", more.read(root / "raw", split))
    return root


@pytest.fixture(scope="session")
def narrow_model(tmp_path_factory, world):
    """A Qwen2.5-VL of a few ten thousand weights, saved the way from_pretrained reads."""
    from morerl.models.tiny import build_tiny

    out = tmp_path_factory.mktemp("narrow")
    build_tiny(out, [sample.text for sample in more.read(world / "raw", "train")], TinySettings(**NARROW), seed=0)
    return out


@pytest.fixture
def make_settings(world, narrow_model, tmp_path):
    """Settings for a run of seconds; keyword sections are laid over the defaults."""

    def make(**sections):
        tree = {
            "run": {"dir": str(tmp_path / "run"), "seed": 0},
            "data": {
                "dir": str(world / "data"),
                "image_root": str(world / "raw"),
                "guidelines": "more",
                "max_prompt_tokens": 512,
            },
            "images": {"full_pixels": 3072, "crop_pixels": 1024, "min_side": 16},
            "prompt": {"template": "stepwise_brief"},
            "model": {"path": str(narrow_model), "freeze_vision": False},
            "generate": {"max_new_tokens": 8, "batch_size": 64},
            "teach": SCENES_TEACHER,
            "sft": {
                "dev": {"every_steps": 2, "limit": 4},
                "trainer": {"max_steps": 4, "per_device_train_batch_size": 4, "learning_rate": 1e-3},
            },
            "grpo": {
                "length_threshold": 10,
                "dev": {"every_steps": 2, "limit": 4},
                "mixing": {"epochs": 2},
                "trainer": {
                    "max_steps": 4,
                    "num_generations": 2,
                    "per_device_train_batch_size": 4,
                    "max_completion_length": 8,
                    "learning_rate": 1e-3,
                },
            },
        }
        for name, section in sections.items():
            tree[name] = {**tree.get(name, {}), **section}
        return Settings.model_validate(tree)

    return make


@pytest.fixture
def text_pair():
    """A text-only sample."""

    def make(number=0, label="/per/per/partner"):
        text = f"Hale helps Osei number {number}"
        return Sample(
            id=f"text/{number}",
            corpus="text",
            split="train",
            text=text,
            head="m0",
            tail="m1",
            mentions=(
                Mention(id="m0", start=0, end=4, text="Hale"),
                Mention(id="m1", start=11, end=15, text="Osei"),
            ),
            gold=Gold(label=label),
        )

    return make
