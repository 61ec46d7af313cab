"""Recurrences and kernels that several mixers share."""
