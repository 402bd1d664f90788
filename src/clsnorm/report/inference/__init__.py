"""Intervals and tests on arrays of scores: each holds its level at 3, 5, 10 and 20 seeds, or refuses (docs/report.md).

Pure functions of numpy arrays; leading dimensions are batches, so that thousands of simulations are one call.
"""
