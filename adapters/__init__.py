"""Adapters to other software, one file for each host."""
