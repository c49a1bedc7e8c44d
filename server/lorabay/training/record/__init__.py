"""What a training leaves to read: lines of metrics, curves and a card.

Reads no weights and changes none.
"""
