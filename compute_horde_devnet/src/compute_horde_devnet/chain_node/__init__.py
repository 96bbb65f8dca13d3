"""The parts of the devnet chain node.

``codec`` encodes and decodes by the live metadata, ``genesis`` says what the chain is born with,
``extrinsics`` takes signed extrinsics apart and checks them, ``blockchain`` makes blocks and keeps
their history, ``storage`` and ``runtime_api`` show a ledger as the chain would, ``rpc`` answers
JSON-RPC and ``server`` serves it over websockets.
"""
