"""Measure a pair: metrics, tables, plots."""
