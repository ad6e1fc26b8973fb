"""Learning with labels: heads on encoders, and what they are taught by."""
