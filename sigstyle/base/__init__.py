"""Bases: Stable Diffusion checkpoints, found, loaded and asked."""
