"""How the public names work: ``client`` and ``job`` on top, ``http`` below, the rest are values."""
