"""Bytes in and out of a job, all of them hostile.

`tree` keeps paths inside a folder, `archives` unpacks, `fetch` downloads, `cache` keeps downloads
for later jobs, `huggingface` knows what is in a hub's repositories, `send` uploads, `guard` says
which addresses may be spoken to, `budget` how much may come in, `errors` names what can go wrong.
Import the modules themselves: `fetch` and `send` load an HTTP client, and `huggingface` the hub's
own, which most jobs never need.
"""
