"""The fusion network MMIF-AMIN: IDN, MCFEM, fusion and reconstruction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks.convolutions import ResidualUnit
from monai.networks.layers.factories import Conv
from monai.networks.layers.utils import get_act_layer
from monai.networks.utils import pixelshuffle
from monai.utils import has_option
from torch import nn

from ...utils.enums import FusionRule
from ..blocks.mcfem import MCFEM
from ..blocks.store import FeatureExtractors
from ..layers.fusion_law import corrected, disagreement
from ..layers.modulation import FeatureModulation
from ..utils import channels_last, check_spatial_dims, start_at_zero

__all__ = ["MMIFAMIN"]


class MMIFAMIN(nn.Module):
    r"""Fuses two images of one patient into one.

    The IDN, shared by both modalities, extracts lossless features at half and quarter resolution; the MCFEM extracts
    complementary features from both at quarter resolution; the decoder turns complementary and unique features into two
    full-resolution maps u, v. With m and n the larger and the smaller source at a pixel and D the local mean of
    :math:`|A - B|` over 7x7 pixels,

    .. math::
        \Delta = \frac{D}{D + \tau} (m \tanh v + n \tanh u),\qquad
        F = m + (1 - m) \bigl(1 - e^{-\max(\Delta, 0) / (1 - m)}\bigr) - m \bigl(1 - e^{\min(\Delta, 0) / m}\bigr)

    so a correction is taken as it is while it is small against the room up to white or down to black, and is
    compressed, never clipped, as it comes near. Two laws hold by design: where both sources are black F is black, and
    F(x, x) = x. At the start, with u = v = 0, F is the pixel-wise maximum.

    One network holds several wishes: the condition ``keep`` changes features and maps in proportion, from 0, both
    sources at the same place, to 1, lesions as easy to find as can be. Both laws hold for each.

    This is an independent implementation of the idea in the abstract of the reference; layout, fusion rule and
    condition are our own.

    Features and maps have the precision of the weights, the fusion rule that of the image: both laws hold exactly after
    ``net.bfloat16()`` too.

    Args:
        spatial_dims: 2 or 3.
        in_channels: both sources together; must be 2. Defaults to 2.
        out_channels: the fused image; must be 1. Defaults to 1.
        growth: growth of the IDN's dense sub-networks, half and quarter resolution. Defaults to ``(8, 16)``.
        num_blocks: coupling blocks of the IDN, half and quarter resolution. Defaults to ``(1, 1)``.
        channels: width of the MCFEM. Defaults to 48.
        num_complementary_blocks: blocks of the MCFEM. Defaults to 2.
        decoder_channels: width of the decoder. Defaults to 44.
        num_decoder_blocks: residual blocks of the decoder. Defaults to 2.
        kernel_sizes: sizes of the MCFEM's depthwise convolutions. Defaults to ``(3, 5, 7)``.
        channel_attention: use the MCFEM's channel attention. Defaults to False: it brings the medical network nothing.
        spatial_attention: use the MCFEM's spatial attention. Defaults to True.
        transformer: use the MCFEM's Transformer layers. Defaults to True.
        feature_extractor: name of what extracts the features of one modality, from
            :data:`~scripts.networks.blocks.store.FeatureExtractors`. Defaults to ``"invertible_dense"``, the IDN;
            ``"plain_dense"`` is a dense network of the same size, for the ablation.
        reversible: rebuild the IDN's activations in the backward pass instead of storing them, so that the memory of
            training does not grow with ``num_blocks``. Defaults to False: two blocks are not worth the extra pass.
        tau: difference at which the correction has half its strength, fraction of white. Defaults to 0.01.
        rule: ``"correction"``, the rule above, or ``"blend"``, for sources of one kind of which each place has the
            better one: F starts from :math:`P = B + \sigma(u) (A - B)` instead of m, and :math:`\Delta` is
            :math:`P \tanh v` times the factor above. Defaults to ``"correction"``.
        conditional: whether there is a condition ``keep``. Defaults to True.

    Shape:
        image: (B, 2, *spatial) in [0, 1], any size from 16 up; channel 0 the structural image (MRI), channel 1 the
            other (CT, or the luminance of PET/SPECT).
        keep: (B,) or (1,) in [0, 1], the condition; only of a conditional network. Defaults to None: 0.

        Returns (B, 1, *spatial) in [0, 1].

    Raises:
        ValueError: When ``spatial_dims`` is neither 2 nor 3, ``in_channels`` is not 2, ``out_channels`` is not 1, the
            name of the feature extractor is not known, or ``reversible`` is asked of one that cannot do it.

    Reference: Luo and Xu, "MMIF-AMIN: Adaptive Loss-Driven Multi-Scale Invertible Dense Network for Multimodal Medical
    Image Fusion", arXiv 2508.08679.

    Example:
        >>> net = MMIFAMIN(spatial_dims=2).eval()
        >>> net(torch.rand(1, 2, 31, 45)).shape
        torch.Size([1, 1, 31, 45])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int = 2,
        out_channels: int = 1,
        growth: Sequence[int] = (8, 16),
        num_blocks: Sequence[int] = (1, 1),
        channels: int = 48,
        num_complementary_blocks: int = 2,
        decoder_channels: int = 44,
        num_decoder_blocks: int = 2,
        kernel_sizes: Sequence[int] = (3, 5, 7),
        channel_attention: bool = False,
        spatial_attention: bool = True,
        transformer: bool = True,
        feature_extractor: str = "invertible_dense",
        reversible: bool = False,
        tau: float = 0.01,
        rule: FusionRule | str = FusionRule.CORRECTION,
        conditional: bool = True,
    ) -> None:
        super().__init__()
        check_spatial_dims(spatial_dims)
        if (in_channels, out_channels) != (2, 1):
            raise ValueError(
                f"`in_channels` must be 2 and `out_channels` 1 (two sources, one image), got {in_channels} and "
                f"{out_channels}."
            )
        self.spatial_dims = spatial_dims
        self.tau = tau
        self.rule = FusionRule(rule)
        self.conditional = conditional
        extractor, options = FeatureExtractors[feature_extractor], {}
        if reversible:
            if not has_option(extractor, "reversible"):
                raise ValueError(
                    f"`reversible` needs a feature extractor that can do it, such as 'invertible_dense', got "
                    f"'{feature_extractor}'."
                )
            options["reversible"] = True
        self.idn = extractor(spatial_dims, in_channels=1, growth=growth, num_blocks=num_blocks, **options)
        fine, coarse = self.idn.out_channels
        self.mcfem = MCFEM(
            spatial_dims,
            coarse,
            channels,
            num_complementary_blocks,
            tuple(kernel_sizes),
            channel_attention,
            spatial_attention,
            transformer,
        )
        conv, bands = Conv[Conv.CONV, spatial_dims], 2**spatial_dims
        act = ("leakyrelu", {"negative_slope": 0.2, "inplace": True})
        self.expand = conv(channels + 2 * coarse, decoder_channels // 2 * bands, 1)
        self.join = conv(decoder_channels // 2 + 2 * fine, decoder_channels, 3, padding=1)
        self.decode = nn.Sequential(
            get_act_layer(act),
            *(
                ResidualUnit(spatial_dims, decoder_channels, decoder_channels, norm=None, act=act, last_conv_only=True)
                for _ in range(num_decoder_blocks)
            ),
        )
        self.maps = conv(decoder_channels, 2 * bands, 3, padding=1)
        self.modulate_complementary = FeatureModulation(channels) if conditional else None
        self.modulate_joined = FeatureModulation(decoder_channels) if conditional else None
        self.kept_maps = conv(decoder_channels, 2 * bands, 3, padding=1) if conditional else None
        for last in (self.maps, self.kept_maps):
            if last is not None:
                start_at_zero(last)
                nn.init.normal_(last.weight, std=1e-3)

    def _pad(self, image: torch.Tensor) -> torch.Tensor:
        """Repeat the border at the far end of each axis until the sides are multiples of 4."""
        padding: list[int] = []
        for axis in range(self.spatial_dims):
            side = image.shape[-1 - axis]
            padding.extend([0, 4 * ((side + 3) // 4) - side])  # so written, torch.export sees that 4 divides the sum
        return nn.functional.pad(image, padding, mode="replicate")

    def _crop(self, image: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        for axis in range(2, image.dim()):
            image = image.narrow(axis, 0, like.shape[axis])
        return image

    def forward(self, image: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Fuse both channels of ``image``.

        Raises:
            ValueError: When there is a condition and the network takes none.
        """
        if keep is not None and not self.conditional:
            raise ValueError("`keep` must be None: this network has no condition.")
        padded = self._pad(image)
        batch = padded.shape[0]
        features = self.idn.features(torch.cat([padded[:, :1], padded[:, 1:]], dim=0).to(self.expand.weight.dtype))
        fine_a, fine_b = features[0][:batch], features[0][batch:]
        coarse_a, coarse_b = features[1][:batch], features[1][batch:]
        complementary = self.mcfem(coarse_a, coarse_b)
        if self.modulate_complementary is not None and keep is not None:
            complementary = self.modulate_complementary(complementary, keep)
        expanded = self.expand(torch.cat([complementary, coarse_a, coarse_b], dim=1))
        expanded = channels_last(pixelshuffle(expanded, self.spatial_dims, 2))
        joined = self.join(torch.cat([expanded, fine_a, fine_b], dim=1))
        if self.modulate_joined is not None and keep is not None:
            joined = self.modulate_joined(joined, keep)
        decoded = self.decode(joined)
        maps = self.maps(decoded)
        if self.kept_maps is not None and keep is not None:
            maps = maps + self.kept_maps(decoded) * keep.to(maps.dtype).reshape([-1] + [1] * (maps.dim() - 1))
        maps = self._crop(pixelshuffle(maps, self.spatial_dims, 2), image)
        u, v = maps.to(image.dtype).chunk(2, dim=1)
        source_a, source_b = image[:, :1], image[:, 1:]
        if self.rule is FusionRule.BLEND:
            mixture = source_b + torch.sigmoid(u) * (source_a - source_b)
            return corrected(mixture, disagreement(image, self.tau) * mixture * torch.tanh(v))
        larger, smaller = torch.maximum(source_a, source_b), torch.minimum(source_a, source_b)
        return corrected(larger, disagreement(image, self.tau) * (larger * torch.tanh(v) + smaller * torch.tanh(u)))
