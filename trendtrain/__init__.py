"""Train trend models on delayed labels: import what you need from the subpackages; nothing heavy loads here."""

__version__ = "0.1.0"
