"""Manages a fleet of executors and serves validators.

``links``: the two conversations. ``services``: what happens to jobs and executors, one
transaction each. ``fleet``: how executors are started and stopped, plug-ins. ``domain``: the
rules. ``management/keeper.py``: the one process that owns the executors.
"""
