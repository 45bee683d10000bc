"""Populations as arrays: structure, body, historical markings, and the operators on them."""
