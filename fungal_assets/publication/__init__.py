"""Publishing outputs to the Hugging Face hub: what goes up, the push, its proof by reading back, the tag."""
