"""PCA of padded sequences, plus a network that knows where they end."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .linear_skip import FAR, LinearSkip


class SequenceSkip(LinearSkip):
    """A linear autoencoder plus a recurrent network.

    Entries that are not read are NaN for the network, and the mean for the linear part.
    """

    def seen(self, x: Tensor) -> Tensor:
        return self.network.seen(x)

    def encode_scaled(self, x: Tensor) -> Tensor:
        far = FAR * self.deviation
        filled = torch.where(x.isnan(), -self.centre, x)
        missed = self._fade(filled, self.network.encode(x.clamp(1e-30 - far, far)))
        return torch.addcmul(F.linear(filled, self.axes), self.code_scale, missed)

    def project(self, x: Tensor) -> Tensor:
        return super().project(x.nan_to_num())
