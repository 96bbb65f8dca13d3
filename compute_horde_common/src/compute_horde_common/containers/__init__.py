"""Containers: `interface` says what an engine does, `docker` is the engine, `scratch_image` and
`python_image` make job images where no registry can be reached.
"""
