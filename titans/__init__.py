"""Titans: Learning to Memorize at Test Time (arXiv:2501.00663), as plain PyTorch."""

from titans.hub import introduce

introduce()
