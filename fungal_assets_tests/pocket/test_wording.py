"""The text encoder's first lessons: after them, the end of a text tells what its picture is like."""

import torch

from fungal_assets.pocket.architecture import build_pipeline, tokenize
from fungal_assets.pocket.wording import Describer, WordingSettings, teach_words

CONCEPTS = ("cup", "bolete", "cap", "agaric")
SETTINGS = WordingSettings(steps=60, batch_size=8, learning_rate=3e-3)


def taught(folder, *, seed=0):
    pipeline = build_pipeline("tiny", seed=seed)
    captions = [f"a photo of a {concept}" for concept in CONCEPTS]
    ids, latents = (
        tokenize(pipeline.tokenizer, captions),
        torch.eye(4)[:, :, None, None].expand(4, 4, 2, 2).clone(),
    )
    teach_words(
        pipeline.text_encoder, ids, latents, CONCEPTS, torch.ones(4), folder, SETTINGS, tell=lambda _: None
    )
    return pipeline.text_encoder, ids


def test_every_place_past_the_words_tells_the_texts_apart(tmp_path):
    encoder, ids = taught(tmp_path)
    with torch.no_grad():
        states = encoder(ids).last_hidden_state
    last, means = states[:, -1], states[:, 10:].mean(dim=1)
    assert torch.cdist(means, means)[~torch.eye(4, dtype=torch.bool)].min() > 1
    assert torch.cdist(last, means).argmin(dim=1).tolist() == [0, 1, 2, 3]


def test_lessons_that_are_over_are_not_taken_again(tmp_path):
    first, _ = taught(tmp_path)
    second, _ = taught(tmp_path, seed=1)
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two)


def test_only_places_past_the_words_are_asked(tmp_path):
    pipeline = build_pipeline("tiny", seed=0)
    ids = tokenize(pipeline.tokenizer, ["cup", "a photo of a cup"])
    _, _, rows = Describer(pipeline.text_encoder, 4, 2)(ids)
    assert len(rows) == int((ids == pipeline.tokenizer.eos_token_id).sum())
    assert (rows == 0).sum() > (rows == 1).sum() > 0
