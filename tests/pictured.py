"""Samples about square pictures, which neither an endpoint nor the narrow model's processor changes."""

from PIL import Image

from morerl.schema import Gold, Mention, Region, Sample
from morerl.settings import ImageSettings

# 112 is a multiple of 28 and of 16, the endpoint's and the narrow model's step
SQUARE = ImageSettings(full_pixels=112 * 112, crop_pixels=112 * 112, min_side=112)
SQUARE_TOKENS = (112 // 16) ** 2


def draw_samples(root):
    """Writes pictures to a folder; gives samples that ask about them, the last about none."""
    samples = []
    for number, colours in enumerate((("red", "blue"), ("yellow", "black"), ("white", "green"))):
        image = Image.new("RGB", (224, 224), colours[0])
        image.paste(colours[1], (60, 0, 224, 150))
        image.save(root / f"{number}.png")
        samples.append(sample(f"{number}.png", box=(0.0, 0.0, 0.5, 0.5)))
    return [*samples, sample(None)]


def sample(image, *, box=None):
    return Sample(
        id=f"pictured/{image}",
        corpus="more",
        split="test",
        text="Hale helps Osei",
        image=image,
        head="r0" if image else "m1",
        tail="m0",
        mentions=(Mention(id="m0", start=0, end=4, text="Hale"), Mention(id="m1", start=11, end=15, text="Osei")),
        regions=(Region(id="r0", box=box),) if image else (),
        gold=Gold(label="none"),
    )
