"""The feature network of the painting loss."""
