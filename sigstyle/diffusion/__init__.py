"""Attention, denoising and inversion of a UNet."""
