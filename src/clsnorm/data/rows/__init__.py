"""Rows: labels, splits, subsets, leaked copies."""
