"""The section `data` of the settings: one corpus, or several in one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from morerl.sections import Section

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]  # it becomes part of file names
ALONE = ""  # the name of a corpus that has no other beside it
OF_ONE, OF_SEVERAL = ("dir", "image_root", "guidelines"), ("corpora", "temperature")


class CorpusSettings(Section):
    """Where the samples of one corpus are, and what may be answered."""

    dir: Path = Field(description="folder with train.jsonl, dev.jsonl, test.jsonl (see tools/prepare_corpus.py)")
    image_root: Path | None = Field(default=None, description="folder that image paths are relative to")
    guidelines: str = Field(description="a name in morerl/guidelines, or the path of a YAML file")


class DataSettings(Section):
    """Where the samples are: `dir` and `guidelines` of one corpus, or `corpora`."""

    dir: Path | None = Field(default=None, description="of one corpus; see corpora for what it holds")
    image_root: Path | None = Field(default=None, description="of one corpus: folder that image paths are relative to")
    guidelines: str | None = Field(default=None, description="of one corpus: a packaged name, or a YAML file's path")
    max_prompt_tokens: int = Field(
        default=2048, ge=1, description="longer prompts (image tokens counted) are left out of training, and named"
    )
    limit: int | None = Field(default=None, ge=1, description="use only the first N samples of every split of a corpus")
    corpora: dict[Name, CorpusSettings] | None = Field(
        default=None,
        min_length=1,
        description="instead of the fields of one corpus: name -> {dir, image_root, guidelines}; the name is what "
        "`corpus` says in that corpus's samples",
    )
    temperature: float = Field(
        default=1.0,
        ge=1.0,
        allow_inf_nan=False,
        description="corpora: T; a corpus's share of SFT's rows is as (its rows)^(1/T); 1: as many as it has; in GRPO "
        "the same of the rated rows, before grpo.mixing chooses among them",
    )

    @model_validator(mode="after")
    def _one_or_several(self) -> DataSettings:
        given = [name for name in OF_ONE if getattr(self, name) is not None]
        if self.corpora is not None and given:
            raise ValueError(f"{', '.join(given)} beside corpora, which say where each of them is: drop either")
        if self.corpora is None and (self.dir is None or self.guidelines is None):
            raise ValueError("want dir and guidelines, of one corpus, or corpora: {name: {dir, guidelines}}")
        if self.corpora is None and self.temperature != 1.0:
            raise ValueError("temperature weighs corpora against each other, and there is one")
        return self

    @model_serializer(mode="wrap")
    def _what_applies(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is written of a run of one corpus, and hashed, does not know that there might be several."""
        other = OF_ONE if self.corpora is not None else OF_SEVERAL
        return {name: value for name, value in dump(self).items() if name not in other}

    @property
    def each(self) -> dict[str, CorpusSettings]:
        """The corpora by name; one that stands alone is called ALONE."""
        if self.corpora is not None:
            return self.corpora
        assert self.dir is not None and self.guidelines is not None, "validated"
        return {ALONE: CorpusSettings(dir=self.dir, image_root=self.image_root, guidelines=self.guidelines)}
