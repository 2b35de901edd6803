"""Fitting the models; needs the extra `fit`, which predicting does not."""
