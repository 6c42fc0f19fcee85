"""What the app does, without its page."""
