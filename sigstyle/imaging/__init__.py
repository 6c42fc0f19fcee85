"""Images, masks and smoothing, before any network sees them."""
