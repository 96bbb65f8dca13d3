"""Jobs on this machine: a facilitator, a validator and a miner in miniature, without database, keys
and money. The executor is the real one.

``client`` on top, ``network`` answers its requests, ``run`` brings one job through, ``executor`` is
its process, ``job`` what is known of it.
"""
