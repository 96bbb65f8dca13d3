"""The subnet, as far as we need it.

``interface`` is what callers know: the ``Chain`` protocol, its values and its errors. ``bittensor``
is the production implementation and the only importer of that library, with ``records`` and
``heads`` beside it; ``memory`` is a double for unit tests, ``keys`` the hotkeys that sign.
"""
