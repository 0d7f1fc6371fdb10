"""Diffusion models: base models, fine-tuning that resumes exactly, and the weights that leave for use."""
