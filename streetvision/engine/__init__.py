"""From image bytes and a deadline to a probability: decode, batch, run. Knows no HTTP and no chain.

A picture's way: header.py and decode.py (bytes to pixels), decode_queue.py, batcher.py, dispatch.py, answers.py. Lanes
(lanes.py) hold one loaded model each; routing.py says which lane gets which request.
"""
