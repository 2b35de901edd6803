"""Grids of methods, tables and seeds: run, resumed, gathered into one tidy file."""
