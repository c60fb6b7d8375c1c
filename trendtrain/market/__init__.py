"""What the market did, and when it could be known: bars, pivots, lines, labels; pure numpy."""
