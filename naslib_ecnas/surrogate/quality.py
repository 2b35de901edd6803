"""Kept name of `naslib_ecnas.scores` within the models."""

from naslib_ecnas.scores import Scores, kendall_tau, scores

__all__ = ["Scores", "kendall_tau", "scores"]
