"""How executors are started and stopped. ``interface`` is the contract of the plug-ins."""
