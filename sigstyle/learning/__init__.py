"""Learning a style from its image."""
