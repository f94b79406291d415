"""Evaluation of models, and the decision whether one may replace the champion."""
