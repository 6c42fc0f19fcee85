"""Films: reading and writing clips, the flow between frames, and where shots begin."""
