"""The page: Gradio components and what they call. Imported by app.py alone."""
