"""The facilitator: takes users' jobs over REST and hands them to validators.

``api`` is what users see, ``links`` what validators see; both act through ``services``, which
change rows of ``models`` as ``domain`` decides.
"""
