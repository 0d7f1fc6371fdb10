"""A text-to-image LoRA trainer of plain datasets, diffusers and peft, as anyone would write it without this package.

    python -I plain_lora.py BASE_MODEL DATASET OUTPUT STEPS

Prints the losses as JSON. The road is that of diffusers' own example: rows by `load_dataset`, latents by the VAE,
noise at random levels, the UNet's answer against what its scheduler says it should be.
"""

import json
import sys

import numpy as np
import torch
from datasets import load_dataset
from diffusers import DDPMScheduler, StableDiffusionPipeline
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

BATCH_SIZE = 2


def tensors(rows):
    """Pictures as float32 (3, H, W), -1 to 1, beside their texts."""
    arrays = [np.asarray(image.convert("RGB"), dtype=np.float32) / 127.5 - 1 for image in rows["image"]]
    return {"pixels": [torch.from_numpy(array).permute(2, 0, 1) for array in arrays], "text": rows["text"]}


def loss_of(pipeline, scheduler, batch):
    """Mean squared error at random noise levels."""
    with torch.no_grad():
        latents = (
            pipeline.vae.encode(batch["pixels"]).latent_dist.sample() * pipeline.vae.config.scaling_factor
        )
        words = pipeline.tokenizer(batch["text"], padding="max_length", truncation=True, return_tensors="pt")
        text = pipeline.text_encoder(words.input_ids)[0]
    noise = torch.randn_like(latents)
    levels = torch.randint(scheduler.config.num_train_timesteps, (len(latents),))
    answer = pipeline.unet(scheduler.add_noise(latents, noise, levels), levels, text).sample
    is_velocity = scheduler.config.prediction_type == "v_prediction"
    target = scheduler.get_velocity(latents, noise, levels) if is_velocity else noise
    return torch.nn.functional.mse_loss(answer, target)


def main(base, folder, output, steps):
    """Train, and write `pytorch_lora_weights.safetensors`."""
    torch.manual_seed(0)
    pipeline = StableDiffusionPipeline.from_pretrained(base, torch_dtype=torch.float32, safety_checker=None)
    scheduler = DDPMScheduler.from_pretrained(base, subfolder="scheduler")
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        part.requires_grad_(False)
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    pipeline.unet.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=targets))
    learnt = [weight for weight in pipeline.unet.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(learnt, lr=1e-3)
    rows = load_dataset(folder, split="train").with_transform(tensors)
    losses = []
    while len(losses) < steps:
        for batch in torch.utils.data.DataLoader(rows, batch_size=BATCH_SIZE, shuffle=True):
            loss = loss_of(pipeline, scheduler, batch)
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            losses.append(loss.item())
            if len(losses) == steps:
                break
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipeline.unet))
    StableDiffusionPipeline.save_lora_weights(output, unet_lora_layers=layers)
    print(json.dumps({"losses": losses, "rows": len(rows)}))


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
