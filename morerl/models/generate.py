"""Batched decoding of samples: used by prediction, rating and the greedy dev score inside training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from morerl.errors import DataError, ImageError
from morerl.images import views
from morerl.models.chats import defuse, with_pictures, worded
from morerl.models.load import Processing
from morerl.prompts.render import picture_count, render
from morerl.schema import Sample
from morerl.settings import GenerateSettings, ImageSettings, PromptSettings
from morerl.tasks import Tasks

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from transformers import PreTrainedModel

Found = TypeVar("Found")


def generate(
    model: PreTrainedModel,
    processing: Processing,
    samples: Sequence[Sample],
    tasks: Tasks,
    *,
    prompt: PromptSettings,
    images: ImageSettings,
    settings: GenerateSettings,
    seed: int = 0,
    on_batch: Callable[[int], object] = lambda done: None,
) -> list[list[str]]:
    """`settings.n` completions for each sample, in the order given; special tokens removed.

    Samples are decoded longest prompt first, pictures apart from text, so that a batch is of one
    kind and little padding. `on_batch` is called with the number of samples just done.
    Sampling (temperature > 0) depends on `seed` and the sample, not on the batch or what ran before; a prompt's
    `n` completions branch off one reading of it. A model that cannot do that samples by `seed` and batch.
    """
    import torch

    was_training = model.training
    model.eval()
    out: list[list[str]] = [[] for _ in samples]
    try:
        for number, batch in enumerate(batches(samples, settings.batch_size, images)):
            inputs = encode([samples[i] for i in batch], processing, tasks, prompt, images)
            # fork_rng: drawing here must not move the random state of a training run around it
            with torch.no_grad(), torch.random.fork_rng():
                torch.manual_seed(seed * 1_000_003 + number)
                names = [f"{seed}/{samples[i].id}/{k}" for i in batch for k in range(settings.n)]
                texts = _decode(model, processing, inputs.to(model.device), settings, names)
            for row, index in enumerate(batch):
                out[index] = texts[row * settings.n : (row + 1) * settings.n]
            on_batch(len(batch))
    finally:
        model.train(was_training)
    return out


def batches(samples: Sequence[Sample], size: int, images: ImageSettings) -> Iterator[list[int]]:
    """Row numbers, longest text first, at most `size` together and each batch with pictures shown or without."""
    order = sorted(range(len(samples)), key=lambda i: -len(samples[i].text))
    pictured = [i for i in order if picture_count(samples[i], images)]
    for group in (pictured, [i for i in order if not picture_count(samples[i], images)]):
        for start in range(0, len(group), size):
            yield group[start : start + size]


def encode(
    samples: Sequence[Sample],
    processing: Processing,
    tasks: Tasks,
    prompt: PromptSettings,
    images: ImageSettings,
) -> torch.Tensor:
    """The model's inputs for a batch, left-padded. Raises DataError for a picture that cannot be used."""
    chats = [
        with_pictures(
            defuse(render(sample, tasks.spec(sample), prompt, images), processing),
            load_views(sample, processing, images, tasks.image_root(sample)),
        )
        for sample in samples
    ]
    return processing.reader.apply_chat_template(
        [worded(one, processing) for one in chats],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        **({"processor_kwargs": {"padding": True}} if processing.takes_pictures else {"padding": True}),
    )


def load_views(sample: Sample, processing: Processing, images: ImageSettings, image_root: Path | None) -> list[Image]:
    """The fitted pictures of a sample. Raises DataError naming the sample and the reason."""
    return look(views, sample, processing, images, image_root)


def look(
    of: Callable[..., list[Found]],
    sample: Sample,
    processing: Processing,
    images: ImageSettings,
    image_root: Path | None,
) -> list[Found]:
    """`views` or `sizes` of a sample. Raises DataError naming the sample and the reason."""
    if sample.image is None:
        return []
    if not processing.takes_pictures:
        raise DataError(f"{sample.id} has a picture, but the model reads text only; use an image-text-to-text model")
    if image_root is None:
        raise DataError(f"{sample.id} has a picture, but data.image_root is not set")
    try:
        return of(sample, image_root, images, factor=processing.factor)
    except ImageError as error:
        raise DataError(f"{sample.id}: {error} [{error.reason}]") from error


def _decode(
    model: PreTrainedModel,
    processing: Processing,
    inputs: dict[str, torch.Tensor],
    settings: GenerateSettings,
    names: Sequence[str],
) -> list[str]:
    """`names`: of each completion, what its random numbers hang on."""
    from transformers import GenerationConfig

    from morerl.models.rollout import rollout, uniforms
    from morerl.models.tree import unsuited

    prompt_length = inputs["input_ids"].shape[1]
    sampling = (
        {"do_sample": True, "temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}
        if settings.temperature > 0
        else {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    )
    common = {"max_new_tokens": settings.max_new_tokens, "pad_token_id": processing.tokenizer.pad_token_id}
    if settings.temperature > 0 and unsuited(model, prompt_length + settings.max_new_tokens) is None:
        config = GenerationConfig(**sampling, **common, eos_token_id=model.generation_config.eos_token_id)
        said = rollout(model, inputs, settings.n, config, uniforms(names, settings.max_new_tokens))
    else:
        said = model.generate(**inputs, **sampling, **common, num_return_sequences=settings.n)[:, prompt_length:]
    return processing.tokenizer.batch_decode(said, skip_special_tokens=True)
