"""Offline: from question examples to a trained pair of Gen and Embseq."""
