"""Repainting one image."""
