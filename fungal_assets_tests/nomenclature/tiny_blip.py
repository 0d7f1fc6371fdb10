"""A tiny BLIP at random weights, as `save_pretrained` writes one."""

from __future__ import annotations

from pathlib import Path

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "mushroom", "on", "log", "red", "cap", "moss"]
_TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def write_blip(folder: Path, *, seed: int = 3) -> None:
    """Write a BLIP of 12 words that looks at 32 px into a folder that is there."""
    import torch
    from transformers import (
        BertTokenizer,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
    )

    (folder / "vocab.txt").write_text("\n".join(WORDS))
    ids = {"bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    words = {
        **_TINY,
        **ids,
        "vocab_size": len(WORDS),
        "max_position_embeddings": 64,
        "encoder_hidden_size": 16,
    }
    config = BlipConfig(
        text_config=words, vision_config={**_TINY, "image_size": 32, "patch_size": 8}, projection_dim=8
    )
    torch.manual_seed(seed)
    BlipForConditionalGeneration(config).eval().save_pretrained(folder)
    tokenizer = BertTokenizer(str(folder / "vocab.txt"))
    BlipProcessor(BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
