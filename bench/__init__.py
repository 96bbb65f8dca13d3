"""Measures the network on this machine, in multiples of a bare ``docker run``; asserts nothing."""
