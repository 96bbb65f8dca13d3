"""The validator: takes users' jobs from the facilitator and has miners run them.

``links/facilitator`` takes a job, ``links/dispatch`` drives it, ``links/miner`` runs it on one
miner; ``services`` keep the rows, ``domain`` decides (routing, phases, who may ask), ``tasks`` read
the subnet.
"""
