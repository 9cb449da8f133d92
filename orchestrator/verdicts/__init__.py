"""Pure thought about finished trials: histograms, summaries, validity. No I/O."""
