"""Rebuild the image sets that come with the package: python benchmarks/embed_data.py

Needs scikit-learn, and Fashion-MNIST (`ganforge.data.builtin` fetches it). Takes about two minutes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from ganforge.data.builtin import load
from ganforge.data.source import Arrays, cache_folder

HERE = Path(__file__).parent.parent / "src" / "ganforge" / "data" / "embedded"


def sheet(source: Arrays, each: int, columns: int) -> Image.Image:
    """The first `each` images of every class, class by class, row by row on one sheet."""
    assert source.y is not None
    x = np.concatenate([source.x[source.y == c][:each, 0] for c in range(10)])
    grid = x.reshape(len(x) // columns, columns, 28, 28).transpose(0, 2, 1, 3)
    return Image.fromarray(np.ascontiguousarray(grid.reshape(-1, columns * 28)))


def main() -> None:
    """Write digits.npz, fashion-train.webp and fashion-test.webp."""
    digits = load_digits()
    np.savez_compressed(HERE / "digits.npz", x=digits.images.astype(np.uint8), y=digits.target.astype(np.uint8))
    clothes = load("fashion-mnist", cache_folder())
    assert clothes.test is not None
    # Of PNG, xz and WebP, lossless WebP was the smallest: 4.2 MB against 4.8 MB (PNG) for all.
    sheet(clothes, 1000, 100).save(HERE / "fashion-train.webp", lossless=True, quality=100, method=6, exact=True)
    sheet(clothes.test, 100, 50).save(HERE / "fashion-test.webp", lossless=True, quality=100, method=6, exact=True)


if __name__ == "__main__":
    main()
