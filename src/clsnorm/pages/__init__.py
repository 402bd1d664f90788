"""Figures and pages: one style for analyses and dashboards."""
