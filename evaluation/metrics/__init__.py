"""Metrics: pure functions of texts, names and a judge, each for one question."""
