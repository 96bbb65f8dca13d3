"""Bytes in and out of a job, all of them hostile.

`tree` keeps paths inside a folder, `archives` unpacks, `fetch` downloads, `send` uploads, `guard`
says which addresses may be spoken to, `errors` names what can go wrong. Import the modules
themselves: `fetch` and `send` load an HTTP client, which a job without transfers never needs.
"""
