"""Miners: pairs -> pairs, or loss -> weight. Each file is one, and one line of any method's plan: `mining: {bad_pairs: {}}`."""
