"""Fitting the models; needs the extra `fit`, which predicting does not.

Every `fit_<target>`, in the module of this name or `fit_epochs` in `devices`, takes the folder of
the reference measurements and a seed, and raises UnknownTableError where a file is missing,
MissingDependencyError where a package is.
"""
