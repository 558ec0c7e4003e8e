"""What the model is shown of a picture: the whole, then the crop; clamped, fitted to the pixel budget."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from morerl.images import MAX_RATIO, crop, fitted_size, sizes, views
from morerl.prompts.render import picture_count
from morerl.schema import Mention, Region, Sample
from morerl.settings import ImageSettings

RED, BLUE = (250, 5, 5), (5, 5, 250)
FACTOR = 16
SMALL = ImageSettings(full_pixels=64 * 64, crop_pixels=32 * 32, min_side=16)
WIDE = st.floats(-1, 2, allow_nan=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    image = Image.new("RGB", (200, 100), RED)
    image.paste(BLUE, (100, 0, 200, 100))
    image.save(folder / "halves.png")
    return folder


def sample(*boxes, head="r0", tail="m0"):
    return Sample(
        id="s",
        corpus="c",
        split="test",
        text="ab",
        image="halves.png",
        mentions=(Mention(id="m0", start=0, end=1, text="a"), Mention(id="m1", start=1, end=2, text="b")),
        regions=tuple(Region(id=f"r{i}", box=box) for i, box in enumerate(boxes)),
        head=head,
        tail=tail,
    )


def test_the_crop_is_the_box(root):
    image = Image.open(root / "halves.png")
    assert crop(image, (0.5, 0.0, 1.0, 1.0)).size == (100, 100)
    assert crop(image, (0.5, 0.0, 1.0, 1.0)).getcolors() == [(10_000, BLUE)]
    assert crop(image, (0.495, 0.5, 0.505, 0.51)).size == (2, 1)


@given(st.integers(1, 300), st.integers(1, 300), st.tuples(WIDE, WIDE, WIDE, WIDE))
def test_a_crop_is_never_empty_and_never_larger_than_the_picture(width, height, box):
    cut = crop(Image.new("L", (width, height)), box)
    assert 1 <= cut.width <= width and 1 <= cut.height <= height
    cut.load()


@settings(deadline=None)  # the first call imports torch, by way of qwen_vl_utils
@given(st.integers(1, 4000), st.floats(1 / MAX_RATIO, MAX_RATIO), st.data())
def test_fitted_sizes_are_multiples_within_the_budget(width, ratio, data):
    factor = data.draw(st.sampled_from([8, 16, 28, 32]))
    budget = data.draw(st.sampled_from([64, 256, 1024, 4096, 50_176, 401_408]))
    height = max(1, round(width * ratio))
    if max(width, height) > MAX_RATIO * min(width, height):
        return
    min_side = data.draw(st.sampled_from([1, 16, 56, 400]))
    across, down = fitted_size(width, height, max_pixels=budget, min_side=min_side, factor=factor)
    assert across > 0 and down > 0 and across % factor == down % factor == 0
    assert across * down <= max(budget, factor * factor)
    assert fitted_size(across, down, max_pixels=budget, min_side=1, factor=factor) == (across, down)


@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        ((640, 480), (640, 480)),  # fits: only rounded
        ((641, 470), (640, 464)),
        ((20, 40), (64, 112)),  # the short side is scaled up to 56, then rounded
        ((4000, 3000), (720, 544)),  # too many pixels: scaled down
        ((1, 1), (64, 64)),
    ],
)
def test_fitted_size_keeps_the_shape(size, fitted):
    assert fitted_size(*size, max_pixels=401_408, min_side=56, factor=FACTOR) == fitted


def test_the_whole_picture_comes_first_then_the_crop(root):
    full, cut = views(sample((0.6, 0.1, 0.9, 0.9)), root, SMALL, factor=FACTOR)
    assert full.size == (80, 32) and cut.size == (16, 32)
    assert full.getpixel((5, 5)) == RED and {c for _, c in cut.getcolors()} == {BLUE}


@pytest.mark.parametrize(
    ("asked", "shown", "count"),
    [
        (sample((0, 0, 1, 1)), ("full", "crop"), 2),
        (sample((0, 0, 1, 1)), ("crop",), 1),
        (sample((0, 0, 1, 1)), ("full",), 1),
        (sample((0, 0, 1, 1), head="m1"), ("full", "crop"), 1),  # two mentions: nothing to crop
        (sample((0, 0, 1, 1), head="m0", tail="r0"), ("full", "crop"), 2),
        (sample((0, 0, 1, 1), (0, 0, 0.5, 0.5), tail="r1"), ("full", "crop"), 3),
        (sample(head="m1").model_copy(update={"image": None}), ("full", "crop"), 0),
    ],
)
def test_as_many_pictures_as_the_prompt_has_places_for(root, asked, shown, count):
    images = SMALL.model_copy(update={"views": shown})
    assert len(views(asked, root, images, factor=FACTOR)) == picture_count(asked, images) == count


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
    st.integers(1, 8),
    st.sampled_from([1, FACTOR]),
)
def test_a_header_tells_the_sizes_of_all_that_is_shown(tmp_path_factory, size, box, orientation, factor):
    assume(max(size) <= MAX_RATIO * min(size) and box[0] < box[2] and box[1] < box[3])
    folder, exif = tmp_path_factory.mktemp("turned"), Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new("RGB", size, BLUE).save(folder / "halves.png", exif=exif)
    shown = views(sample(box), folder, SMALL, factor=factor)
    assert sizes(sample(box), folder, SMALL, factor=factor) == [one.size for one in shown]


SLIVERS = [((1200, 40), (0, 0.5, 1, 0.501)), ((40, 1200), (0.5, 0, 0.501, 1))]


@pytest.mark.parametrize(("size", "box"), SLIVERS)
def test_a_sliver_of_1200_by_1_pixels_still_shows_its_object(tmp_path, size, box):
    Image.new("RGB", size, BLUE).save(tmp_path / "halves.png")
    image = views(sample(box), tmp_path, SMALL, factor=FACTOR)[1]
    assert image.width % FACTOR == image.height % FACTOR == 0
    assert 0 < image.width * image.height <= SMALL.crop_pixels
    _, _, (_, bluest) = image.getextrema()
    assert bluest > 30
