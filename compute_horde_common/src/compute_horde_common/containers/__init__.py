"""Containers: `interface` says what an engine does, `docker` is the engine, `scratch_image` makes
a job image where no registry can be reached.
"""
