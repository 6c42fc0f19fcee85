"""What a style is: its offsets and token, its file, and how it is put on a UNet."""
