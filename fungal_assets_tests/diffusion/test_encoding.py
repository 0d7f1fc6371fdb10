import io
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from fungal_assets.diffusion.encoding import (
    Choices,
    bring_to_side,
    count_truncated,
    embed_texts,
    encode_dataset,
    encode_pixels,
    read_embeddings,
    read_tensors,
    write_embeddings,
)
from fungal_assets.errors import TrainingError
from fungal_assets.progress import stay_silent
from fungal_assets.shards import ShardWriter, image_schema, read_rows
from fungal_assets_tests.diffusion.conftest import write_dataset


def encode(folder, pipeline, cache):
    return encode_dataset(folder / "data", pipeline, base_sha256="b", cache=cache, tell=stay_silent)


@pytest.mark.parametrize("shards", [1, 2, 9])
def test_every_row_of_every_shard_is_encoded(shards, pipeline, tmp_path):
    encoded = encode(write_dataset(tmp_path / "dataset", 11, shards=shards), pipeline, tmp_path)
    assert encoded.latents.shape == (11, 2, 4, 8, 8)
    assert len(set(encoded.latents[:, 0].sum(dim=(1, 2, 3)).tolist())) == 11
    assert len(encoded.texts) == 8, "the empty prompt, two wordings of two names, one without, the names"
    rows = torch.arange(11)
    assert encoded.wordings.counts(rows).tolist() == [2] * 11
    assert encoded.class_wordings.counts(rows).tolist() == [1] * 11
    assert encoded.name_wordings.counts(rows).tolist() == [1] * 11
    named = encoded.name_wordings.pick(rows, torch.zeros(11))
    captions = encoded.wordings.pick(rows, torch.zeros(11))
    for name, caption in zip(named.tolist(), captions.tolist(), strict=True):
        assert encoded.told[caption] == f"a photo of {encoded.told[name]}"
    assert len(set(encoded.wordings.ids.tolist())) == 4 and len(set(encoded.class_wordings.ids.tolist())) == 1


def test_a_row_comes_with_the_embeddings_of_its_own_texts(pipeline, tmp_path):
    dataset = write_dataset(tmp_path / "dataset", 5)
    encoded = encode(dataset, pipeline, tmp_path)
    for number, row in enumerate(read_rows(dataset / "data")):
        for chance, text in ((0.0, row["texts"][0]), (0.99, row["texts"][1])):
            (index,) = encoded.wordings.pick(torch.tensor([number]), torch.tensor([chance]))
            torch.testing.assert_close(encoded.texts[index], embed_texts(pipeline, [text])[0])
        (index,) = encoded.class_wordings.pick(torch.tensor([number]), torch.tensor([0.5]))
        torch.testing.assert_close(encoded.texts[index], embed_texts(pipeline, ["a mushroom"])[0])
    assert row["text"] == row["texts"][0]


def test_a_dataset_of_one_caption_a_row_is_read_as_it_was(pipeline, tmp_path):
    schema = image_schema({"image_id": pa.string(), "text": pa.string()})
    with ShardWriter(tmp_path / "data", schema, shards=1) as writer:
        for number in range(3):
            row = {"image": {"bytes": png(64, 64), "path": ""}, "image_id": str(number), "text": "a cap"}
            writer.write(row)
    encoded = encode(tmp_path, pipeline, tmp_path)
    assert encoded.wordings.ids.tolist() == [1, 1, 1] and len(encoded.class_wordings.ids) == 0


def test_the_splits_are_encoded_apart_and_no_more_rows_than_asked_for(pipeline, tmp_path):
    data = write_dataset(tmp_path / "dataset", 4, held_out=5) / "data"
    common = {"base_sha256": "b", "cache": tmp_path, "tell": stay_silent}
    whole = encode_dataset(data, pipeline, **common, split="test")
    assert whole.row_count == 5 and encode_dataset(data, pipeline, **common).row_count == 4
    few = encode_dataset(data, pipeline, **common, split="test", most_rows=3)
    torch.testing.assert_close(few.latents, whole.latents[:3], rtol=1e-4, atol=1e-4)
    only_training = encode(write_dataset(tmp_path / "alone", 4), pipeline, tmp_path)
    assert torch.equal(only_training.latents, encode_dataset(data, pipeline, **common).latents)


def test_the_second_variant_is_the_latent_of_the_mirror_image(pipeline):
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    plain, mirrored = encode_pixels(pipeline, pixels), encode_pixels(pipeline, pixels.flip(-1))
    torch.testing.assert_close(plain[:, 1], mirrored[:, 0])
    assert not torch.allclose(plain[:, 0], plain[:, 1])


def test_embeddings_are_those_of_sampling(pipeline):
    ours = embed_texts(pipeline, ["", "a photo of golden bonnet"])
    tokens = pipeline.tokenizer(
        "a photo of golden bonnet", padding="max_length", return_tensors="pt"
    ).input_ids
    torch.testing.assert_close(ours[1:], pipeline.text_encoder(tokens)[0])


def test_a_second_call_reads_the_cache_and_another_dataset_has_its_own(pipeline, tmp_path):
    dataset = write_dataset(tmp_path / "a", 3)
    first = encode(dataset, pipeline, tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob("encoded-*.safetensors")
    assert torch.equal(read_tensors(path)["latents"], first.latents)
    again = encode(dataset, None, tmp_path / "cache")
    assert torch.equal(again.latents, first.latents)
    assert torch.equal(again.texts, first.texts)
    assert torch.equal(again.wordings.ids, first.wordings.ids)
    next((tmp_path / "cache").glob("embeddings-*.npy")).unlink()
    assert torch.equal(encode(dataset, pipeline, tmp_path / "cache").texts, first.texts)
    encode(write_dataset(tmp_path / "b", 4), pipeline, tmp_path / "cache")
    assert len(list((tmp_path / "cache").glob("encoded-*.safetensors"))) == 2


def test_a_run_stopped_amid_the_texts_finds_its_pictures_again(pipeline, tmp_path):
    dataset = write_dataset(tmp_path / "dataset", 11)

    def stop(line):
        if line.startswith("encoding texts"):
            raise KeyboardInterrupt

    common = {"base_sha256": "b", "cache": tmp_path / "cache"}
    with pytest.raises(KeyboardInterrupt):
        encode_dataset(dataset / "data", pipeline, **common, tell=stop)
    (kept,) = (tmp_path / "cache").glob("encoded-*.safetensors")
    before, lines = kept.stat().st_mtime_ns, []
    gone_on = encode_dataset(dataset / "data", pipeline, **common, tell=lines.append)
    assert kept.stat().st_mtime_ns == before and {line.split(":")[0] for line in lines} == {"encoding texts"}
    unbroken = encode(dataset, pipeline, tmp_path / "other")
    assert torch.equal(gone_on.texts, unbroken.texts)
    assert torch.equal(gone_on.latents, unbroken.latents)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_the_file_of_embeddings_is_numpys_and_holds_each_text(pipeline, tmp_path):
    texts = ["", *(f"a cap, number {number}" for number in range(11))]
    write_embeddings(tmp_path / "e.npy", pipeline, texts, stay_silent)
    assert np.load(tmp_path / "e.npy").dtype == np.float32
    for number, text in enumerate(texts):
        torch.testing.assert_close(
            read_embeddings(tmp_path / "e.npy")[number], embed_texts(pipeline, [text])[0]
        )


class Many(Sequence):
    """More texts than any disk has room for."""

    def __len__(self):
        return 10**14

    def __getitem__(self, at):
        return ["a cap"] * len(range(*at.indices(len(self))))


def test_more_texts_than_the_disk_has_room_for_are_refused_before_one_is_written(pipeline, tmp_path):
    with pytest.raises(
        TrainingError, match=r"of 10{14} texts need .* GB are free at .*lower captions.wordings"
    ):
        write_embeddings(tmp_path / "e.npy", pipeline, Many(), stay_silent)
    assert not list(tmp_path.iterdir())


def test_without_embeddings_no_text_is_encoded_and_all_are_told(pipeline, tmp_path):
    data = write_dataset(tmp_path / "dataset", 3) / "data"
    common = {"base_sha256": "b", "cache": tmp_path / "cache", "tell": stay_silent}
    told = encode_dataset(data, pipeline, **common, has_embeddings=False)
    assert not list((tmp_path / "cache").glob("embeddings-*")) and len(told.texts) == 0
    names = ("ashen cap", "golden bonnet")
    wordings = [text for name in names for text in (f"a photo of {name}", f"in moss, {name}")]
    assert told.told == sorted(["", "a mushroom", *wordings, *names])
    torch.testing.assert_close(
        encode_dataset(data, pipeline, **common).texts, embed_texts(pipeline, told.told)
    )


def test_choices_that_are_not_wanted_are_left_out_and_every_row_keeps_its_own():
    choices = Choices(torch.tensor([1, 2, 3, 2, 4]), torch.tensor([0, 2, 3, 5]))
    kept = choices.only(torch.tensor([False, True, True, False, False]))
    assert kept.ids.tolist() == [1, 2, 2] and kept.starts.tolist() == [0, 2, 2, 3]
    assert choices.only(torch.zeros(5, dtype=torch.bool)).starts.tolist() == [0, 0, 0, 0]


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not a picture", "row 'second' holds no readable picture"),
        (png(64, 64)[:60], "row 'second' holds no readable picture"),
        (None, "row 'second' holds no readable picture"),
        (png(32, 64), "row 'second' is 32 x 64 px; expected 64 x 64 px"),
    ],
    ids=["garbage", "truncated", "missing", "other size"],
)
def test_a_row_that_cannot_be_trained_on_stops_the_run_and_is_named(data, message, pipeline, tmp_path):
    schema = image_schema({"image_id": pa.string(), "text": pa.string()})
    with ShardWriter(tmp_path / "data", schema, shards=1) as writer:
        for image_id, content in (("first", png(64, 64)), ("second", data)):
            writer.write({"image": {"bytes": content, "path": ""}, "image_id": image_id, "text": "a photo"})
    with pytest.raises(TrainingError, match=message):
        encode(tmp_path, pipeline, tmp_path)


def test_an_empty_dataset_is_refused(pipeline, tmp_path):
    with pytest.raises(TrainingError, match="hold no rows"):
        encode(write_dataset(tmp_path, 0), pipeline, tmp_path)


def test_captions_past_the_end_of_the_text_encoder_are_counted(pipeline):
    assert count_truncated(pipeline, ["a cap", "mushroom " * 100]) == 1


def test_counting_long_captions_holds_few_of_them_as_tokens(pipeline):
    """As tokens all at once they would take more than twice the bound."""
    texts = [f"a cap {number % 7}" for number in range(4000)]
    tracemalloc.start()
    assert count_truncated(pipeline, [*texts, "mushroom " * 100]) == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


def test_pictures_are_learnt_at_another_size_than_theirs_where_one_is_asked_for(pipeline, tmp_path):
    dataset = write_dataset(tmp_path / "dataset", 3)
    how = {"base_sha256": "b", "cache": tmp_path, "tell": stay_silent, "has_embeddings": False, "crops": 1}
    own = encode_dataset(dataset / "data", pipeline, **how)
    same = encode_dataset(dataset / "data", pipeline, **how, size_px=64)
    small = encode_dataset(dataset / "data", pipeline, **how, size_px=32)
    assert torch.equal(own.latents, same.latents) and small.latents.shape == (3, 4, 4, 4, 4)
    row = next(iter(read_rows(dataset / "data")))
    with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
        pixels = torch.from_numpy(np.asarray(image.convert("RGB")) / np.float32(127.5) - 1).permute(2, 0, 1)
    reduced = bring_to_side(pixels, 32)
    assert reduced.shape == (3, 32, 32)
    torch.testing.assert_close(
        reduced.mean(dim=(1, 2)), pixels.mean(dim=(1, 2)), atol=5e-3, rtol=0, msg="its colours stay"
    )
    torch.testing.assert_close(small.latents[0, :2], encode_pixels(pipeline, reduced[None])[0])


@pytest.mark.parametrize(
    ("height", "width", "size_px", "sides"),
    [
        (112, 144, 256, (224, 288)),
        (336, 176, 128, (168, 88)),
        (96, 96, 64, (64, 64)),
        (112, 144, 128, (112, 144)),
    ],
    ids=["lying", "upright", "square", "as it is"],
)
def test_a_picture_of_any_shape_is_brought_to_a_resolution(height, width, size_px, sides):
    picture = torch.linspace(-1, 1, width).expand(3, height, width)
    brought = bring_to_side(picture, size_px)
    assert brought.shape == (3, *sides)
    assert torch.equal(brought, picture) == (sides == (height, width))
    assert brought[0, 0, 0] < -0.9 and brought[0, 0, -1] > 0.9
