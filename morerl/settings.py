"""The settings of a run, section by section: frozen, unknown keys refused, each with its meaning.

What belongs to transformers, TRL or PEFT (`trainer:`, `lora:`) passes through untouched and is
checked by those libraries. Left out on purpose: environment variables and defaults that depend on
the machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from morerl.data_settings import DataSettings
from morerl.grpo_settings import GrpoSettings
from morerl.sections import DevSettings, Section

Gate = Literal["leak", "copied", "candidates", "other_conclusion", "evidence", "no_evidence"]


class RunSettings(Section):
    """Where the run lives, and its seed."""

    dir: Path = Field(description="folder of everything the run writes")
    seed: int = Field(default=0, ge=0, description="seed of every random choice of the run")


class ImageSettings(Section):
    """Which pictures the model is shown, and how large; MORE-R1 shows the picture, then the object's crop."""

    views: tuple[Literal["full", "crop"], ...] = Field(
        default=("full", "crop"), min_length=1, description="in this order; crop: of each object that is asked about"
    )
    full_pixels: int = Field(default=401_408, ge=64, description="at most this many pixels for the whole picture")
    crop_pixels: int = Field(default=200_704, ge=64, description="at most this many pixels for a crop")
    min_side: int = Field(default=56, ge=1, description="a shorter side is scaled up to this, in pixels")


class PromptSettings(Section):
    """How a sample becomes text."""

    template: str | None = Field(
        default=None,
        description="a name in morerl/prompts/templates; null: what fits the sample: stepwise for a pair with a "
        "picture, guided for one without, extract for entities and relations",
    )
    examples: bool = Field(
        default=False, description="guided and extract: show the guideline's example and near miss of every label"
    )


class TinySettings(Section):
    """Shape of the embedded model: a Qwen2.5-VL of random weights with its own tokenizer."""

    vocab_size: int = Field(default=2048, ge=512, description="byte-level BPE trained on the train split")
    hidden_size: int = Field(default=128, ge=16, description="width of the text layers")
    layers: int = Field(default=4, ge=1, description="text layers")
    heads: int = Field(default=4, ge=1, description="attention heads of a text layer")
    intermediate_size: int = Field(default=384, ge=16, description="width of the text layers' MLP")
    attention_dropout: float = Field(default=0.0, ge=0.0, lt=1.0, description="of the text layers, in training")
    vision_hidden_size: int = Field(default=64, ge=16, description="width of the vision tower")
    vision_layers: int = Field(default=2, ge=1, description="layers of the vision tower")
    patch_size: int = Field(default=8, ge=2, description="pixels; one image token covers 2x2 patches")


class ModelSettings(Section):
    """The model to start from."""

    path: str | None = Field(default=None, description="folder or hub id; null: build `tiny`")
    tiny: TinySettings = TinySettings()
    dtype: Literal["float32", "bfloat16", "float16"] = Field(default="float32", description="of the weights")
    attention: Literal["sdpa", "eager", "flash_attention_2"] = Field(
        default="sdpa", description="transformers' attn_implementation"
    )
    lora: dict[str, Any] | None = Field(
        default=None, description="peft.LoraConfig; null: all weights. GRPO goes on with the one that SFT made"
    )
    freeze_vision: bool = Field(default=True, description="keep the vision tower as it is, as MORE-R1 does")


def _several_need_chance(section: Any) -> Any:
    if section.n > 1 and section.temperature == 0.0:
        raise ValueError(f"n = {section.n} at temperature 0 would be one completion {section.n} times; set temperature")
    return section


class GenerateSettings(Section):
    """How completions are drawn by predict (rate has its own n and temperature; dev is greedy)."""

    max_new_tokens: int = Field(default=1024, ge=1, description="tokens a completion may have")
    batch_size: int = Field(default=64, ge=1, description="samples decoded together")
    temperature: float = Field(default=0.0, ge=0.0, description="0: greedy")
    top_p: float = Field(default=1.0, gt=0.0, le=1.0, description="share of the probability drawn from")
    n: int = Field(default=1, ge=1, description="completions a sample")

    _n = model_validator(mode="after")(_several_need_chance)


class PriceSettings(Section):
    """What a teacher costs, in dollars per million tokens."""

    input: float = Field(ge=0.0, description="dollars per million prompt tokens")
    output: float = Field(ge=0.0, description="dollars per million completion tokens")


class GateSettings(Section):
    """What a chain must keep to beside its answer (see morerl.teacher.gates); lengths in words of the reasoning."""

    min_words: int = Field(default=30, ge=0, description="shorter reasoning is rejected")
    max_words: int = Field(default=600, ge=1, description="longer reasoning is rejected")
    quotes: int = Field(default=1, ge=0, description="quotes of the text that reasoning without a picture must hold")
    repeats: int | None = Field(default=1, ge=1, description="chains with the very same reasoning; null: any number")
    skip: tuple[Gate, ...] = Field(default=(), description="gates that are not applied, by the reason they give")


class TeachSettings(Section):
    """Who writes the reasoning, how he is asked, and for how many samples."""

    strategy: Literal["stepwise", "guided", "mimic", "distill"] = Field(
        default="mimic",
        description="stepwise: MORE-R1's six steps, gold shown; guided: along the guideline, gold shown; distill: gold "
        "not shown, one right draw is kept; mimic: a plan filled in from the gold, no teacher",
    )
    share: float = Field(default=0.25, gt=0.0, le=1.0, description="of the train samples of each label")
    endpoint: str | None = Field(
        default=None,
        description="an OpenAI-compatible server, e.g. http://127.0.0.1:8000/v1; scenes: the drawn world's own",
    )
    model: str | None = Field(default=None, description="the teacher's name at the endpoint")
    temperature: float | None = Field(default=0.0, ge=0.0, description="of the first draw; null: not sent")
    retries: int = Field(default=3, ge=0, description="further draws of a sample whose chain a gate rejects")
    retry_temperature: float | None = Field(default=0.7, ge=0.0, description="of those draws; null: not sent")
    draws: int = Field(default=8, ge=1, description="distill: draws a sample, all at retry_temperature")
    max_new_tokens: int = Field(default=2048, ge=1, description="tokens a reply may have")
    structured: bool = Field(
        default=False,
        description="constrain the answer part by a structural tag (vLLM, SGLang); the parser judges it all the same",
    )
    request: dict[str, Any] = Field(
        default={},
        description="sent along untouched; a null takes an option out: {max_tokens: null, max_completion_tokens: 99}",
    )
    prices: dict[str, PriceSettings] = Field(default={}, description="model -> its price; none: cost is not known")
    gates: GateSettings = GateSettings()

    @model_validator(mode="after")
    def _asks_somebody(self) -> TeachSettings:
        if self.strategy != "mimic" and self.endpoint is None:
            raise ValueError(f"strategy {self.strategy} asks a teacher: set teach.endpoint and teach.model")
        if self.endpoint not in (None, "scenes") and self.model is None:
            raise ValueError("teach.model must say which model the endpoint shall answer with")
        return self


class SftSettings(Section):
    """Supervised stage: learn the completions of reasoning.jsonl."""

    reasoning: Path | tuple[Path, ...] | None = Field(
        default=None, description="a file, or a list of them; default: <run.dir>/reasoning.jsonl"
    )
    labels_only: bool = Field(default=False, description="learn the bare answer, no reasoning (an ablation)")
    dev: DevSettings = DevSettings()
    trainer: dict[str, Any] = Field(default={}, description="trl.SFTConfig, untouched")


class RateSettings(Section):
    """Difficulty of train samples, by the model SFT made: once and greedy as in MORE-R1, or n draws."""

    model: Path | None = Field(default=None, description="default: <run.dir>/sft/model")
    n: int = Field(default=1, ge=1, description="completions a sample; hard is what fails too often among them")
    temperature: float = Field(default=0.0, ge=0.0, description="0: greedy; above 0 for n > 1")
    limit: int | None = Field(default=None, ge=1, description="rate a seeded draw of N of a corpus; null: all")
    taught: bool = Field(default=False, description="also rate samples SFT has learnt from; then no reasoning is read")

    _n = model_validator(mode="after")(_several_need_chance)


class PredictSettings(Section):
    """Completions for one split."""

    model: str | None = Field(
        default=None, description="default: grpo's model, else sft's; with an endpoint the name it has there"
    )
    endpoint: str | None = Field(
        default=None, description="an OpenAI-compatible server to ask instead, e.g. http://127.0.0.1:8000/v1"
    )
    split: Literal["train", "dev", "test"] = Field(default="test", description="whose samples are answered")
    out: Path | None = Field(
        default=None,
        description="default: <run.dir>/predictions/<stage>.<split>.jsonl, for another run's model <run>-<stage>, for "
        "one by its name that name; of several corpora each has its own, with its name before the suffix",
    )


class DemoSettings(Section):
    """The drawn world of `morerl demo`: scenes (pictures with a title) a split; each asks about nine pairs."""

    train: int = Field(default=700, ge=1, description="scenes to train on")
    dev: int = Field(default=60, ge=1, description="scenes that choose the checkpoint")
    test: int = Field(default=150, ge=1, description="scenes for the figures")


class Settings(Section):
    """A run, whole. In paths, ${run.dir} stands for run.dir."""

    run: RunSettings
    data: DataSettings
    images: ImageSettings = ImageSettings()
    prompt: PromptSettings = PromptSettings()
    model: ModelSettings = ModelSettings()
    generate: GenerateSettings = GenerateSettings()
    teach: TeachSettings = TeachSettings()
    sft: SftSettings = SftSettings()
    rate: RateSettings = RateSettings()
    grpo: GrpoSettings = GrpoSettings()
    predict: PredictSettings = PredictSettings()
    demo: DemoSettings = DemoSettings()

    @model_validator(mode="after")
    def _rewards_of_the_corpora(self) -> Settings:
        corpora, named = self.data.corpora or {}, self.grpo.rewards_of
        if named is not None and named.keys() != corpora.keys():
            raise ValueError(
                f"grpo.rewards_of is for {', '.join(named)}, and data.corpora has {', '.join(corpora) or 'none'}: "
                "each corpus wants its rewards, or all of them grpo.rewards"
            )
        return self
