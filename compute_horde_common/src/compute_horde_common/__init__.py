"""What every ComputeHorde service shares.

``jobs`` says what a job is, ``protocol`` what the services say to each other; both are pure.
``links``, ``containers``, ``chain`` and ``transfer`` do the talking, each behind an interface.
Everything that knows Django is in ``contrib.django``.
"""
