"""Pairings: embeddings of the views -> who attracts and who repels whom."""
