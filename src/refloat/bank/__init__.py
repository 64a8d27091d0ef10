"""Checkpoints, sections, chunks, encryption and the stores behind them. Knows nothing of OpenStack or SQL."""
