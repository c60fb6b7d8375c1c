"""What people read about runs, ledgers, labels and sweeps: console tables and summary files."""
