"""A whole subnet on one machine, for development, the demo and the tests.

``network`` starts every service as a process of its own and stops them all, ``node`` is the
chain that they talk to, ``demo`` submits jobs through the SDK. No service imports this package.
"""
