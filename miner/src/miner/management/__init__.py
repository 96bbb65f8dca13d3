"""Processes and commands beside the web server."""
