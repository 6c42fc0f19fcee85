"""A small judge of patches, and how much its opinion counts."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class PatchJudge(nn.Module):
    """Strided convolutions to one score per patch. Source: 1611.07004, section 3.2.2."""

    def __init__(self, width: int = 32):
        super().__init__()
        widths = (3, width, 2 * width, 4 * width)
        layers: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [spectral_norm(nn.Conv2d(before, after, 4, 2, 1)), nn.LeakyReLU(0.2)]
        layers.append(spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1)))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).float()


def judge_loss(judge: PatchJudge, real: Tensor, made: Tensor) -> Tensor:
    """Hinge loss that teaches the judge to tell real from made."""
    scores = judge(torch.cat([real, made.detach()]))
    on_real, on_made = scores.chunk(2)
    return (F.relu(1 - on_real).mean() + F.relu(1 + on_made).mean()) / 2


def balance(rest: Tensor, adversarial: Tensor, last: Tensor, share: float) -> float:
    """The weight at which the adversarial gradient on `last` is `share` of the rest's.

    Source: VQGAN (2012.09841, equation 7).
    """
    (a,) = torch.autograd.grad(rest, last, retain_graph=True)
    (b,) = torch.autograd.grad(adversarial, last, retain_graph=True)
    return min(share * float(a.norm()) / (float(b.norm()) + 1e-8), 1.0)
