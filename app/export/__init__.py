"""Runs exported as data sets."""
