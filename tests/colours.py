"""Tell how far apart colours are, for eyes of each kind.

Colour blindness: Machado, Oliveira and Fernandes 2009, severity 1.0, in linear RGB. Distance: CIE 1976 in Lab, D65.
Contrast: WCAG 2.2, relative luminance.
"""

from __future__ import annotations

from collections.abc import Sequence

Triple = tuple[float, float, float]

EYES: dict[str, tuple[Triple, Triple, Triple]] = {
    "all cones": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "no long": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no medium": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "no short": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
_WHITE = (0.95047, 1.0, 1.08883)


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours like "#0072b2": 1 to 21; what is drawn should have 3."""
    lighter, darker = sorted((_times(_TO_XYZ, _linear(c))[1] for c in (first, second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def distance(first: str, second: str, eyes: str) -> float:
    """Return how far apart two colours look; 2.3 is just noticeable side by side, 10 is clear."""
    a, b = (_lab(_times(EYES[eyes], _linear(c))) for c in (first, second))
    return float(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5)


def _linear(colour: str) -> Triple:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return red, green, blue


def _times(matrix: Sequence[Triple], vector: Triple) -> Triple:
    x, y, z = (min(1.0, max(0.0, sum(m * v for m, v in zip(row, vector, strict=True)))) for row in matrix)
    return x, y, z


def _lab(linear: Triple) -> Triple:
    xyz = [sum(m * v for m, v in zip(row, linear, strict=True)) for row in _TO_XYZ]
    x, y, z = (
        t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116
        for t in (v / w for v, w in zip(xyz, _WHITE, strict=True))
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)
