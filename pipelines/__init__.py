"""The diffusers pipelines: content and style to images, prompt and style to images."""

from pipelines.pipeline_sigstyle import SigStylePipeline
from pipelines.pipeline_sigstyle_text2img import SigStyleText2ImgPipeline

__all__ = ["SigStylePipeline", "SigStyleText2ImgPipeline"]
