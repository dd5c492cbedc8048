"""The three nets by name.

>>> Nets["mmif_amin"].__name__
'MMIFAMIN'
"""

from __future__ import annotations

from ..stores import NetworkStore
from .loss_proposal import LossProposalNet
from .mmif_amin import MMIFAMIN
from .source_reconstruction import SourceReconstructionNet

__all__ = ["Nets"]

Nets = NetworkStore("Nets", "The fusion network, and the two that help to train it")
Nets.add("mmif_amin", "fuses two images; the one that ships", MMIFAMIN)
Nets.add("loss_proposal", "proposes the weights of the adaptive loss", LossProposalNet)
Nets.add("source_reconstruction", "rebuilds both sources from the fused image", SourceReconstructionNet)
