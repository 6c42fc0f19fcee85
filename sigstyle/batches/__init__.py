"""Many images in many styles."""
